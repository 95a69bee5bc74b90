//! [`Counters`], the counters of one series on the page, and the value that is served.
//!
//! Envoy reads one counter after another while its workers count. On the page a bucket may therefore be ahead of a higher
//! one by the exchanges that ended in between. Each count of a histogram is raised to the largest one below it, and
//! `_count` is the `+Inf` bucket, raised likewise. Hence
//! - buckets are cumulative and `_count` equals the last one, as Prometheus requires;
//! - a served count is one that the bucket had at some moment while the page was rendered. A raised count is that of a lower
//!   bucket, which at any moment holds no more than this one. It is ahead by no more than the exchanges that ended during
//!   the rendering;
//! - a served count falls only if a counter did, because the maximum of rising counters rises. (If counts were remembered
//!   from page to page instead, a restart of Envoy could not be distinguished from a torn page.)
//!
//! The sum is read at yet another moment and served unchanged. It may include an exchange that no bucket has yet, or lack
//! one.

use std::borrow::Cow;

use infertally_filter::metrics::{Bound, Kind, Metric, Unit};

use crate::exposition::{Histogram, Value};

const MICROSECONDS_PER_SECOND: f64 = 1e6;

/// A counter of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// The value of a counter or a gauge.
    Value,
    /// A histogram's bucket, by the index of its bound.
    Bucket(usize),
    /// A histogram's `+Inf` bucket.
    Infinity,
    /// A histogram's sum, in the unit that the filter observes.
    Sum,
}

/// The counters of a series that have been read so far.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    /// By the index of the bound; empty unless the metric is a histogram.
    buckets: Vec<Option<u64>>,
    /// The `+Inf` bucket, or the value of a counter or a gauge.
    total: Option<u64>,
    sum: Option<u64>,
}

// === impl Counter ===

impl Counter {
    /// The bucket with this bound; `None` if the metric has no such bound.
    pub(super) fn bucket(metric: &Metric, le: &str) -> Option<Self> {
        if le == "+Inf" {
            return Some(Self::Infinity);
        }
        bounds(metric).iter().position(|bound| bound.le == le).map(Self::Bucket)
    }
}

// === impl Counters ===

impl Counters {
    pub(super) fn new(metric: &Metric) -> Self {
        Self {
            buckets: vec![None; bounds(metric).len()],
            total: None,
            sum: None,
        }
    }

    /// Sets a counter. Returns false if it was already set.
    pub(super) fn set(&mut self, counter: Counter, value: u64) -> bool {
        let slot = match counter {
            Counter::Value | Counter::Infinity => Some(&mut self.total),
            Counter::Bucket(bound) => self.buckets.get_mut(bound),
            Counter::Sum => Some(&mut self.sum),
        };
        slot.is_some_and(|slot| slot.replace(value).is_none())
    }

    /// The value that is served. A histogram requires its `+Inf` bucket and its sum; any other missing bucket is omitted,
    /// because it need not be 0.
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

/// The bounds of a histogram's buckets; empty for other metrics.
pub(super) fn bounds(metric: &Metric) -> &'static [Bound] {
    match metric.kind {
        Kind::Histogram { bounds, .. } => bounds,
        Kind::Counter | Kind::Gauge => &[],
    }
}
