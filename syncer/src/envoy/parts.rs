//! The counters of one series as the page has them, and the value that is served of them.
//!
//! Envoy's admin reads one counter after the other while its workers count, so on its page a bucket may be ahead of the
//! one above it by the exchanges that ended in between. Each count of a histogram is therefore raised to the largest below
//! it, and `_count` is the `+Inf` bucket raised likewise. So
//! - the buckets are cumulative and `_count` equals the last of them, as Prometheus demands;
//! - a count that is served is one that the bucket had at some moment while the page was written: a raised one is the
//!   reading of a bucket below, in which no more can have lain at that moment than in this one. It is ahead by no more than
//!   the exchanges that ended meanwhile;
//! - no count that is served falls unless a counter did, for the largest of several that only rise only rises. (Were they
//!   remembered from page to page instead, a restart of Envoy could not be told from a torn page.)
//!
//! The sum is read at yet another moment and served as it is: it may hold an exchange that no bucket has yet, or lack one.

use std::borrow::Cow;

use infertally_filter::metrics::{Bound, Kind, Metric, Unit};

use crate::exposition::{Histogram, Value};

const MICROSECONDS_PER_SECOND: f64 = 1e6;

/// Names a counter of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// The only one of a counter or a gauge.
    Value,
    /// A histogram's bucket, by number of its bound.
    Bucket(usize),
    /// Its `+Inf` bucket.
    Infinity,
    /// Its sum, in the unit that is observed.
    Sum,
}

/// What is known of a series so far.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// A histogram's, by bound; none where it has no bounds.
    buckets: Vec<Option<u64>>,
    /// The `+Inf` bucket, or the value of what has no buckets.
    total: Option<u64>,
    sum: Option<u64>,
}

// === impl Counter ===

impl Counter {
    /// The bucket with this bound, if the metric has it.
    pub(super) fn bucket(metric: &Metric, le: &str) -> Option<Self> {
        if le == "+Inf" {
            return Some(Self::Infinity);
        }
        bounds(metric).iter().position(|bound| bound.le == le).map(Self::Bucket)
    }
}

// === impl Parts ===

impl Parts {
    /// None yet.
    pub(super) fn new(metric: &Metric) -> Self {
        Self {
            buckets: vec![None; bounds(metric).len()],
            total: None,
            sum: None,
        }
    }

    /// Notes a counter's value. False if it had one.
    pub(super) fn set(&mut self, counter: Counter, value: u64) -> bool {
        let place = match counter {
            Counter::Value | Counter::Infinity => Some(&mut self.total),
            Counter::Bucket(bound) => self.buckets.get_mut(bound),
            Counter::Sum => Some(&mut self.sum),
        };
        place.is_some_and(|place| place.replace(value).is_none())
    }

    /// What is served, if all is there that it can't be without: a histogram's `+Inf` bucket and its sum. Another bucket
    /// that is not on the page is left out, for nothing says that it is 0.
    pub(super) fn value(&self, metric: &'static Metric) -> Option<Value> {
        let total = self.total?;
        match metric.kind {
            Kind::Counter => Some(Value::Integer(total)),
            Kind::Gauge => Some(Value::Float(total as f64)),
            Kind::Histogram { bounds, unit } => {
                let sum = self.sum? as f64;
                let mut highest = 0;
                let counts = bounds.iter().zip(&self.buckets);
                let buckets = counts
                    .filter_map(|(bound, count)| {
                        highest = highest.max((*count)?);
                        Some((Cow::Borrowed(bound.le), highest))
                    })
                    .collect();
                Some(Value::Histogram(Histogram {
                    buckets,
                    sum: match unit {
                        Unit::Seconds => sum / MICROSECONDS_PER_SECOND,
                        Unit::Bytes | Unit::Tokens => sum,
                    },
                    count: highest.max(total),
                }))
            }
        }
    }
}

/// The bounds of its buckets; none of what has no buckets.
pub(super) fn bounds(metric: &Metric) -> &'static [Bound] {
    match metric.kind {
        Kind::Histogram { bounds, .. } => bounds,
        Kind::Counter | Kind::Gauge => &[],
    }
}
