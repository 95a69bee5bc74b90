//! Prometheus' exposition formats: what a page of metrics says, and how one is written. Pure: bytes in, bytes out.
//!
//! [`Family`] is what we serve.

mod encode;

use std::borrow::Cow;
use std::sync::Arc;

pub use encode::encode;

/// The two formats that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// A family of series, as it is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name; a counter's ends in `_total`.
    pub name: Cow<'static, str>,
    /// What it means.
    pub help: Cow<'static, str>,
    /// Its type.
    pub kind: Kind,
    /// Its series, in the order in which they are written.
    pub series: Vec<Series>,
}

/// Prometheus' types of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts of observations up to each bound.
    Histogram,
}

/// A series of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names and values, in the order in which they are written, without `le`.
    pub labels: Vec<(&'static str, Arc<str>)>,
    /// What it stands at.
    pub value: Value,
}

/// What a series stands at.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A gauge's number.
    Float(f64),
    /// A counter's count, exact.
    Integer(u64),
    /// A histogram.
    Histogram(Histogram),
}

/// A histogram's counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bound as it is written (`0.005`, `1.048576e+06`), and how many observations lie at it or below it; ascending,
    /// without `+Inf`.
    pub buckets: Vec<(Cow<'static, str>, u64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// How many there were: the `+Inf` bucket too.
    pub count: u64,
}
