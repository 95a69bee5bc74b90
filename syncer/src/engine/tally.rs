//! The series of one metric of one server, and the number that they make together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::exposition::Sample;

/// Series kept of a metric: some times the ranks and models that one server has.
pub(super) const MAX_SERIES: usize = 1024;
/// Labels kept of a series: an engine gives it a handful, `extra_metric_labels` and the like some more.
pub(super) const MAX_LABELS: usize = 64;
/// Servers hold thousands of requests. More than this is no count of them (a timestamp is), and one such server would
/// drown the whole pool's average.
const MAX_REQUESTS: f64 = 1e9;

/// What is read of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Requests that wait.
    Waiting,
    /// Requests that run.
    Running,
    /// Use of the KV cache.
    KvCache,
}

/// A page holds more than is kept of it.
#[derive(Debug)]
pub(super) enum Excess {
    /// Of a metric.
    Series,
    /// Of a series.
    Labels,
}

type Identity<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The series of one metric.
#[derive(Default)]
pub(super) struct Tally<'a> {
    series: BTreeMap<Identity<'a>, f64>,
    /// One of them can't be believed, so neither can all together.
    spoilt: bool,
}

// === impl Quantity ===

impl Quantity {
    fn can_be(self, value: f64) -> bool {
        let limit = match self {
            Self::Waiting | Self::Running => MAX_REQUESTS,
            Self::KvCache => 1.0,
        };
        // NaN lies in no range.
        (0.0..=limit).contains(&value)
    }
}

// === impl Tally ===

impl<'a> Tally<'a> {
    pub(super) fn add(&mut self, quantity: Quantity, sample: &Sample<'a>) -> Result<(), Excess> {
        let mut identity: Identity<'_> = sample.labels.iter().take(MAX_LABELS + 1).collect();
        if identity.len() > MAX_LABELS {
            return Err(Excess::Labels);
        }
        // A label without a value is as good as none.
        identity.retain(|(_, value)| !value.is_empty());
        identity.sort_unstable();
        if self.series.len() == MAX_SERIES && !self.series.contains_key(&identity) {
            return Err(Excess::Series);
        }
        // Of a series that is given twice nobody knows which is true; the specifications forbid it.
        let twice = self.series.insert(identity, sample.value).is_some();
        self.spoilt |= twice || !quantity.can_be(sample.value);
        Ok(())
    }

    pub(super) fn has_series(&self) -> bool {
        !self.series.is_empty()
    }

    /// The sum of the requests, or the mean of the KV caches. Series that differ in nothing but labels of `mirrors` are
    /// one: they lag behind each other by a step, so the largest counts.
    pub(super) fn total(&self, quantity: Quantity, mirrors: &[&str]) -> Option<f64> {
        if self.spoilt || self.series.is_empty() {
            return None;
        }
        let mut distinct: BTreeMap<Vec<&(&str, Cow<'_, str>)>, f64> = BTreeMap::new();
        for (identity, value) in &self.series {
            let identity = identity.iter().filter(|(name, _)| !mirrors.contains(name)).collect();
            let largest = distinct.entry(identity).or_insert(*value);
            *largest = largest.max(*value);
        }
        let sum: f64 = distinct.values().sum();
        let total = match quantity {
            Quantity::Waiting | Quantity::Running => sum,
            Quantity::KvCache => sum / distinct.len() as f64,
        };
        quantity.can_be(total).then_some(total)
    }
}
