//! Which metrics of a page may say what is asked for: the user's own, and those of the table.

use std::borrow::Cow;

use super::table::Row;
use super::tally::Quantity;
use super::{Engine, Reading};
use crate::exposition::{Format, Labels};

/// A metric that may say one of the quantities.
pub(super) struct Source<'r> {
    /// Whose metric it is; None is the user's own.
    pub(super) engine: Option<Engine>,
    pub(super) quantity: Quantity,
    /// The sample's whole name.
    pub(super) name: Cow<'r, str>,
    labels: Vec<(&'r str, &'r str)>,
    pub(super) mirrors: &'static [&'static str],
}

// === impl Source ===

impl Source<'_> {
    /// As in PromQL, a label that is not there has the value of an empty one.
    pub(super) fn selects(&self, labels: &Labels<'_>) -> bool {
        let mut wanted = self.labels.iter();
        wanted.all(|(name, value)| labels.get(name).unwrap_or_default() == *value)
    }
}

/// Every metric that may matter, the preferred one first.
pub(super) fn sources<'r>(
    rows: impl Iterator<Item = &'static Row>,
    reading: &'r Reading,
    format: Format,
) -> Vec<Source<'r>> {
    let Reading {
        engine: _,
        waiting,
        running,
        kv_cache,
    } = reading;
    let own = [
        (Quantity::Waiting, waiting),
        (Quantity::Running, running),
        (Quantity::KvCache, kv_cache),
    ];
    let mut sources = Vec::new();
    for (quantity, selector) in own {
        sources.extend(selector.as_ref().map(|selector| Source {
            engine: None,
            quantity,
            name: selector.name().into(),
            labels: selector.labels().collect(),
            mirrors: &[],
        }));
    }
    for row in rows {
        for (quantity, selector) in own {
            let metrics = match quantity {
                _ if selector.is_some() => &[],
                Quantity::Waiting => row.waiting,
                Quantity::Running => row.running,
                Quantity::KvCache => row.kv_cache,
            };
            for metric in metrics {
                let mut push = |name| {
                    sources.push(Source {
                        engine: Some(row.engine),
                        quantity,
                        name,
                        labels: metric.labels.to_vec(),
                        mirrors: row.mirrors,
                    });
                };
                push(metric.name.into());
                // OpenMetrics gives a counter's samples a suffix, and some servers call everything a counter. A name
                // that the user gave is taken as it is.
                if format == Format::OpenMetrics {
                    push(format!("{}_total", metric.name).into());
                }
            }
        }
    }
    sources
}
