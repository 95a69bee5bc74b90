//! The filter's metrics: the table that describes each ([`METRICS`]), and what a record adds to them.
//!
//! The table is the only description of a metric. Docs, `envoy.yaml` and the syncer's TYPE, HELP and bounds are held
//! against it by tests. To add a metric, add a row in `metrics/table.rs`, the line in `metrics/observe.rs` that records it,
//! and the row of the document.

mod bounds;
mod observe;
mod table;
mod value;

pub use bounds::Bound;
pub(crate) use observe::{Observation, observe, zeros};
pub use table::{METRICS, MetricId};
pub(crate) use value::{SERIES, position};

use crate::labels::Label;

/// A Prometheus metric type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// An Envoy counter.
    Counter,
    /// An Envoy gauge.
    Gauge,
    /// Envoy counters `_bucket`, `_sum` and `_count`.
    Histogram {
        /// Upper bounds, ascending, inclusive, without `+Inf`.
        bounds: &'static [Bound],
        /// The unit of observations and bounds.
        unit: Unit,
    },
}

/// The unit of a histogram. Observations are integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Observed in bytes.
    Bytes,
    /// Observed in tokens.
    Tokens,
    /// Exported in seconds, observed in microseconds. Envoy counters are integers, so `_sum` holds whole seconds and an
    /// additional counter the exact microseconds.
    Seconds,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The documented name.
    pub name: &'static str,
    /// TYPE of the metric.
    pub kind: Kind,
    /// In the order of the stat name; the buckets of a histogram also have `le`.
    pub labels: &'static [Label],
    /// HELP of the metric.
    pub help: &'static str,
}

impl Metric {
    /// The name of the counter of exact microseconds that accompanies a histogram in seconds.
    pub fn microseconds_name(&self) -> Option<String> {
        match self.kind {
            Kind::Histogram {
                unit: Unit::Seconds, ..
            } => self
                .name
                .strip_suffix("_seconds")
                .map(|stem| format!("{stem}_microseconds_total")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
