//! [`Family`], a metric family with its series, as `/metrics` serves it.

use std::borrow::Cow;
use std::sync::Arc;

/// A metric family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The metric name; a counter's ends in `_total`.
    pub name: Cow<'static, str>,
    /// The text of `# HELP`.
    pub help: Cow<'static, str>,
    /// The type of `# TYPE`.
    pub kind: Kind,
    /// The series, in the order in which they are written.
    pub series: Vec<Series>,
}

/// The types of a family that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
    /// A classic histogram.
    Histogram,
}

/// Label names and values.
pub type SeriesLabels = Vec<(&'static str, Arc<str>)>;

/// A series of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The labels in the order in which they are written, without `le`.
    pub labels: SeriesLabels,
    /// The value.
    pub value: Value,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a gauge.
    Float(f64),
    /// Of a counter, exact above 2^53, too.
    Integer(u64),
    /// Of a histogram.
    Histogram(Histogram),
}

/// The counts of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The upper bound as it is written (`0.005`, `1.048576e+06`) and the cumulative count; ascending, without `+Inf`.
    pub buckets: Vec<(Cow<'static, str>, u64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// The number of observations, which is also the `+Inf` bucket.
    pub count: u64,
}
