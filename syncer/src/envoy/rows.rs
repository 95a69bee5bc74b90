//! The families that are served, made from the filter's table.

use std::borrow::Cow;

use infertally_filter::metrics::{Kind, METRICS, Metric, MetricId};

use crate::exposition::{self, Family};

/// The metrics of the filter's table that are served, in its order. Its build is not: the syncer tells its own.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    let table = METRICS.iter().enumerate();
    table
        .filter(|(row, _)| *row != MetricId::Info as usize)
        .map(|(_, metric)| metric)
}

/// The family of a metric, without a series.
pub(super) fn family(metric: &'static Metric) -> Family {
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

/// All families, in the order in which they are served, without a series.
pub(super) fn families() -> impl Iterator<Item = Family> {
    metrics().map(family)
}
