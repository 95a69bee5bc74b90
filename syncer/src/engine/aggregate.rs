//! [`Aggregate`], the series of one metric of one server, reduced to one value.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::exposition::Sample;

/// Series of a metric: several times the ranks and models of one server.
pub(super) const MAX_SERIES: usize = 1024;
/// Labels of a series: an engine sets a few, `extra_metric_labels` and the like add some.
pub(super) const MAX_LABELS: usize = 64;
/// Servers hold thousands of requests. A larger value is not a count (it may be a timestamp), and one such server would
/// distort the pool's average.
const MAX_REQUESTS: f64 = 1e9;

/// What is read of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Waiting requests.
    Waiting,
    /// Running requests.
    Running,
    /// KV cache utilization.
    KvCache,
}

/// The limit that a page exceeds.
#[derive(Debug)]
pub(super) enum LimitExceeded {
    /// [`MAX_SERIES`].
    Series,
    /// [`MAX_LABELS`].
    Labels,
}

type LabelSet<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The series of one metric.
#[derive(Default)]
pub(super) struct Aggregate<'a> {
    series: BTreeMap<LabelSet<'a>, f64>,
    /// A series is invalid or duplicate, so the aggregate would be wrong.
    is_invalid: bool,
}

// === impl Quantity ===

impl Quantity {
    pub(super) fn accepts(self, value: f64) -> bool {
        let max = match self {
            Self::Waiting | Self::Running => MAX_REQUESTS,
            Self::KvCache => 1.0,
        };
        // NaN is in no range.
        (0.0..=max).contains(&value)
    }
}

// === impl Aggregate ===

impl<'a> Aggregate<'a> {
    pub(super) fn add(&mut self, quantity: Quantity, sample: &Sample<'a>) -> Result<(), LimitExceeded> {
        let mut labels: LabelSet<'_> = sample.labels.iter().take(MAX_LABELS + 1).collect();
        if labels.len() > MAX_LABELS {
            return Err(LimitExceeded::Labels);
        }
        // To Prometheus an empty label is absent.
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        if self.series.len() == MAX_SERIES && !self.series.contains_key(&labels) {
            return Err(LimitExceeded::Series);
        }
        // The formats forbid duplicate series, and nothing shows which value is right.
        let is_duplicate = self.series.insert(labels, sample.value).is_some();
        self.is_invalid |= is_duplicate || !quantity.accepts(sample.value);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The sum of requests, or the mean of KV cache utilizations. Series that differ only in `replica_labels` report the
    /// same requests; they lag behind each other by a step, so the largest is used.
    pub(super) fn value(&self, quantity: Quantity, replica_labels: &[&str]) -> Option<f64> {
        if self.is_invalid || self.series.is_empty() {
            return None;
        }
        let mut distinct: BTreeMap<Vec<&(&str, Cow<'_, str>)>, f64> = BTreeMap::new();
        for (labels, value) in &self.series {
            let labels = labels
                .iter()
                .filter(|(name, _)| !replica_labels.contains(name))
                .collect();
            let largest = distinct.entry(labels).or_insert(*value);
            *largest = largest.max(*value);
        }
        let sum: f64 = distinct.values().sum();
        let value = match quantity {
            Quantity::Waiting | Quantity::Running => sum,
            Quantity::KvCache => sum / distinct.len() as f64,
        };
        quantity.accepts(value).then_some(value)
    }
}
