//! [`Source`], a metric from which a quantity may be read: the user's, or one of the table.

use std::borrow::Cow;

use super::aggregate::Quantity;
use super::options::EngineOptions;
use super::table::{Engine, Metric, Row};
use crate::exposition::{Format, Labels};

/// A metric that may hold a quantity.
pub(super) struct Source<'o> {
    /// The engine whose metric it is; `None` for the user's.
    pub(super) engine: Option<Engine>,
    pub(super) quantity: Quantity,
    /// Sources of the same part are alternatives, in order of precedence; parts are summed.
    pub(super) part: usize,
    /// The sample's complete name.
    pub(super) name: Cow<'o, str>,
    labels: Vec<(&'o str, &'o str)>,
    pub(super) replica_labels: &'static [&'static str],
}

// === impl Source ===

impl Source<'_> {
    /// Whether the labels match. As in PromQL, an absent label is equal to an empty one.
    pub(super) fn selects(&self, labels: &Labels<'_>) -> bool {
        let mut matchers = self.labels.iter();
        matchers.all(|(name, value)| labels.get(name).unwrap_or_default() == *value)
    }
}

/// All sources for these engines, in order of precedence.
pub(super) fn sources<'o>(
    rows: impl Iterator<Item = &'static Row>,
    options: &'o EngineOptions,
    format: Format,
) -> Vec<Source<'o>> {
    let EngineOptions {
        engine: _,
        waiting,
        running,
        kv_cache,
    } = options;
    let configured = [
        (Quantity::Waiting, waiting),
        (Quantity::Running, running),
        (Quantity::KvCache, kv_cache),
    ];
    let mut sources = Vec::new();
    for (quantity, selector) in configured {
        sources.extend(selector.as_ref().map(|selector| Source {
            engine: None,
            quantity,
            part: 0,
            name: selector.name().into(),
            labels: selector.labels().collect(),
            replica_labels: &[],
        }));
    }
    for row in rows {
        for (quantity, selector) in configured {
            let parts: &[&[Metric]] = match quantity {
                _ if selector.is_some() => &[],
                Quantity::Waiting => row.waiting,
                Quantity::Running => &[row.running],
                Quantity::KvCache => &[row.kv_cache],
            };
            let metrics = parts.iter().enumerate();
            for (part, metric) in metrics.flat_map(|(part, metrics)| metrics.iter().map(move |metric| (part, metric))) {
                let mut push = |name| {
                    sources.push(Source {
                        engine: Some(row.engine),
                        quantity,
                        part,
                        name,
                        labels: metric.labels.to_vec(),
                        replica_labels: row.replica_labels,
                    });
                };
                push(metric.name.into());
                // In OpenMetrics a counter's samples have a suffix, and some servers declare every metric a counter. A
                // name that the user configured is matched verbatim.
                if format == Format::OpenMetrics {
                    push(format!("{}_total", metric.name).into());
                }
            }
        }
    }
    sources
}
