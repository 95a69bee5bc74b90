//! The families that are served, built from the filter's table.

use std::borrow::Cow;

use infertally_filter::metrics::{Kind, METRICS, Metric, MetricId};

use crate::exposition::{self, Family};

/// The served metrics of the filter's table, in its order: all but the filter's build, because the syncer reports its own.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    let table = METRICS.iter().enumerate();
    table
        .filter(|(row, _)| *row != MetricId::Info as usize)
        .map(|(_, metric)| metric)
}

/// The family of a metric, without series.
pub(super) fn empty_family(metric: &'static Metric) -> Family {
    Family {
        name: Cow::Borrowed(metric.name),
        help: Cow::Borrowed(metric.help),
        kind: match metric.kind {
            Kind::Counter => exposition::Kind::Counter,
            Kind::Gauge => exposition::Kind::Gauge,
            Kind::Histogram { .. } => exposition::Kind::Histogram,
        },
        series: Vec::new(),
    }
}

/// All families without series, in the order in which they are served.
pub(super) fn empty_families() -> impl Iterator<Item = Family> {
    metrics().map(empty_family)
}
