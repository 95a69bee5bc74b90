//! Reads the filter's metrics from an Envoy's stats page and returns them with their types. Pure: it owns neither
//! connections nor a clock.
//!
//! Envoy has no exact histograms, so the filter builds each from counters, and the page shows those: `X_bucket`, `X_sum`,
//! `X_count`, and `…_microseconds_total` for seconds. [`read`] takes them from the page, [`families`] returns the
//! histograms. Names, types, labels, bounds and help are those of the filter's table. Label values are passed on as Envoy
//! shows them, including the filter's `%XX` escapes, so that dashboards work on both pages.
//!
//! An Envoy counter is an integer, so the `_sum` of a histogram in seconds is exact only in the counter of microseconds
//! beside it. `_sum` is computed from that counter, which is not served itself: it would repeat the value in a unit that is
//! not Prometheus' base unit, which `promtool check metrics` reports.
//!
//! Values of several Envoys are never added. A sum of counters falls when one process exits, which Prometheus reads as a
//! reset. Each Envoy keeps its own series, and its resets are passed on.
//!
//! Envoy renders the page while its workers count. `counters.rs` describes what that does to a histogram.
//!
//! `inference_extension_info` is not passed on: the syncer serves its own, and duplicate series would invalidate the page.
//! `infertally_filter_info` reports the filter's build.
//!
//! Invariant: two series of a page are never merged.

mod collector;
mod counters;
mod dropped;
mod families;
mod names;
mod page;
mod request;

use std::sync::Arc;

use crate::exposition::{Family, Format, ParseError, Series, parse};
use collector::Collector;
pub use dropped::DropReason;
use names::Names;
pub use page::EnvoyPage;
pub use request::stats_url;

/// Series that are read from a page, where a histogram counts as one. A pair of model names has 12 to 35, so this is
/// several times what the filter's default of 200 names produces. If all were histograms, they would take some 20 MB.
pub const MAX_SERIES: usize = 20_000;

/// Why a page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not in the text format.
    #[error("invalid Envoy stats page")]
    Parse(#[source] ParseError),
}

/// Reads an Envoy's `/stats/prometheus` (text format 0.0.4), in one or more pieces of whole lines. Envoy's own metrics are
/// skipped.
///
/// A page without any of the filter's series is valid: there may have been no request yet.
///
/// # Errors
/// If the page is not in the text format. Series that are valid there and cannot be served are counted instead, see
/// [`EnvoyPage::dropped`].
pub fn read<'a>(page: impl IntoIterator<Item = &'a [u8]>) -> Result<EnvoyPage, ReadError> {
    let names = Names::of_table();
    let mut collector = Collector::new(MAX_SERIES);
    parse(
        page,
        Format::Text,
        |name| names.find(name).is_some(),
        |sample| {
            if let Some(component) = names.find(sample.name) {
                collector.add(component, &sample);
            }
        },
    )
    .map_err(ReadError::Parse)?;
    Ok(collector.finish())
}

/// Merges the pages of several Envoys, which have different names (`host:port`).
///
/// With `label_envoy` each series has an additional label `envoy="host:port"`. Otherwise series have exactly the labels of
/// the guide.
pub fn families<'a>(pages: impl IntoIterator<Item = (&'a str, &'a EnvoyPage)>, label_envoy: bool) -> Vec<Family> {
    let mut families: Vec<Family> = families::empty_families().collect();
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

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
