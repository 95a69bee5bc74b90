//! The filter's metrics as one Envoy tells them, given back with their types.
//!
//! Envoy has no histogram that is exact, so the filter makes each of plain counters, and its admin page shows them as such:
//! `X_bucket`, `X_sum`, `X_count`, and for seconds `…_microseconds_total`. [`read`] takes them off the page and
//! [`families`] serves them as the histograms that they are. Names, types, labels, bounds and help come from the filter's
//! table alone; label values stay as Envoy shows them (the filter's `%XX` too), so that a dashboard fits both.
//!
//! An Envoy counter is a whole number, so the `_sum` of a histogram in seconds is exact on Envoy's page only in the
//! counter of microseconds beside it. Here `_sum` is made of that counter, and the counter is not served: it would say
//! the same again, in a unit that is not Prometheus' base unit, and `promtool check metrics` rejects such a page.
//!
//! Values of several Envoys are never added up: the sum of counters falls when one of the processes goes, and Prometheus
//! would read that as a reset. Each keeps its own series, and a reset of Envoy's passes through.
//!
//! The page is read while workers count, counter by counter. What that does to a histogram and what is made of it is said
//! in `envoy/parts.rs`.
//!
//! `inference_extension_info` is left out: the syncer makes its own, and two of them with equal labels would spoil a page.
//! The filter's build is in `infertally_filter_info`.
//!
//! This module owns no connection and no clock. Invariant: two series on a page never become one.

mod left_out;
mod names;
mod page;
mod parts;
mod rows;

use std::sync::Arc;

use crate::exposition::{Family, Format, ParseError, Series, parse};
use left_out::Counts;
pub use left_out::LeftOut;
use names::Names;
use page::Collector;

/// Series that are kept of a page, a histogram being one. A pair of model names has 12 to 35, so these are several times
/// what the filter's default of 200 names makes; were all of them histograms, they would take some 20 MB.
pub const MAX_SERIES: usize = 20_000;

/// What one Envoy's page says of the filter's metrics; at most [`MAX_SERIES`] series. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvoyPage {
    /// All that are served, in order, also those without a series.
    families: Arc<[Family]>,
    left_out: Counts,
}

/// A page that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not in the text format.
    #[error("envoy's stats page can't be read")]
    Parse(#[source] ParseError),
}

/// Reads an Envoy's `/stats/prometheus` (text format 0.0.4; Envoy's own metrics on it are skipped).
///
/// A page without any of the filter's series is a good page: nothing may have been asked yet.
///
/// # Errors
/// If it is not in the text format. What is in the format and still can't be served is counted: [`EnvoyPage::left_out`].
pub fn read(page: &[u8]) -> Result<EnvoyPage, ReadError> {
    let names = Names::of_table();
    let mut collector = Collector::new(MAX_SERIES);
    parse(
        page,
        Format::Text,
        |name| names.find(name).is_some(),
        |sample| {
            if let Some(place) = names.find(sample.name) {
                collector.add(place, &sample);
            }
        },
    )
    .map_err(ReadError::Parse)?;
    Ok(collector.finish())
}

/// The families to serve of these Envoys, each with the name that tells it from the others (`host:port`); no two alike.
///
/// Where one Envoy is configured, `label_envoy` is false, and its series have exactly the labels of the guide. Where
/// several are, it is true, also while only one can be read: each series then ends in `envoy="host:port"`.
pub fn families<'a>(pages: impl IntoIterator<Item = (&'a str, &'a EnvoyPage)>, label_envoy: bool) -> Vec<Family> {
    let mut families: Vec<Family> = rows::families().collect();
    for (envoy, page) in pages {
        let envoy: Option<Arc<str>> = label_envoy.then(|| envoy.into());
        for (family, read) in families.iter_mut().zip(page.families.iter()) {
            family.series.extend(read.series.iter().map(|series| {
                let mut series: Series = series.clone();
                series.labels.extend(envoy.clone().map(|envoy| ("envoy", envoy)));
                series
            }));
        }
    }
    families.retain(|family| !family.series.is_empty());
    families
}

// === impl EnvoyPage ===

impl EnvoyPage {
    /// How many series are served of it.
    pub fn series(&self) -> usize {
        self.families.iter().map(|family| family.series.len()).sum()
    }

    /// How much on the page carries one of the filter's names and is not served, by reason.
    pub fn left_out(&self) -> impl Iterator<Item = (LeftOut, u64)> {
        self.left_out.iter()
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
