//! The recorder that turns records into additions to the [`Ledger`].
//!
//! It knows the series of every pair of model names that this VM has seen, so that an observation is an index.

use std::collections::HashMap;
use std::rc::Rc;

use crate::labels::{Label, stat_name};
use crate::ledger::{Ledger, SeriesId};
use crate::metrics::{METRICS, MetricId, Observation, observe, zeros};
use crate::record::{ModelPair, Record};
use crate::shared::{StatId, StatKind, StatSink};

/// The series that one worker has touched.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    ledger: Ledger,
    pairs: HashMap<ModelPair, SeriesSet>,
    /// Series without model labels.
    filter: SeriesSet,
    memory: Option<StatId>,
}

/// Identifies the build of the filter.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo<'a> {
    /// Of the crate.
    pub version: &'a str,
    /// Full hash of the source commit.
    pub commit: &'a str,
    /// Release tag or branch.
    pub build_ref: &'a str,
}

/// The series that share their model labels. Each is opened when it is first observed.
#[derive(Debug, Default)]
struct SeriesSet {
    /// The encoded model labels.
    labels: Rc<str>,
    /// Indexed by [`MetricId`].
    metrics: [Option<SeriesId>; METRICS.len()],
    /// Series with one further label; few, so a linear search is fast.
    labelled: Vec<(MetricId, &'static str, SeriesId)>,
}

// === impl Recorder ===

impl Recorder {
    /// Makes the counters that are exported as 0 before their first increment appear with the next publishing.
    pub(crate) fn add_zeros(&mut self) {
        for observation in zeros() {
            self.filter.add(observation, &mut self.ledger);
        }
    }

    pub(crate) fn record(&mut self, record: &Record) {
        let Self {
            ledger, pairs, filter, ..
        } = self;
        if !pairs.contains_key(&record.labels) {
            pairs.insert(record.labels.clone(), SeriesSet::new(&record.labels));
        }
        let Some(pair) = pairs.get_mut(&record.labels) else {
            return;
        };
        observe(record, |observation| {
            if observation.metric.metric().labels.starts_with(&[Label::ModelName]) {
                pair.add(observation, ledger);
            } else {
                filter.add(observation, ledger);
            }
        });
    }

    /// Hands everything recorded so far to Envoy.
    pub(crate) fn publish(&mut self, sink: &mut impl StatSink) {
        self.ledger.publish(sink);
    }

    /// Sets the gauge of the largest linear memory to `bytes`, unless another VM's is larger.
    pub(crate) fn raise_memory(&mut self, bytes: u64, sink: &mut impl StatSink) {
        self.memory = self
            .memory
            .or_else(|| sink.define(StatKind::Gauge, MetricId::FilterMemory.metric().name));
        if let Some(stat) = self.memory
            && sink.gauge(stat) < bytes
        {
            sink.set_gauge(stat, bytes);
        }
    }
}

// === impl BuildInfo ===

impl BuildInfo<'_> {
    /// Sets the info gauges to 1.
    pub fn publish(&self, sink: &mut impl StatSink) {
        let filter = [(Label::Version, self.version)];
        let extension = [(Label::Commit, self.commit), (Label::BuildRef, self.build_ref)];
        for (metric, labels) in [(MetricId::FilterInfo, &filter[..]), (MetricId::Info, &extension[..])] {
            if let Some(stat) = sink.define(StatKind::Gauge, &stat_name(labels, metric.metric().name)) {
                sink.set_gauge(stat, 1);
            }
        }
    }
}

// === impl SeriesSet ===

impl SeriesSet {
    fn new(pair: &ModelPair) -> Self {
        let labels = [
            (Label::ModelName, pair.model.as_str()),
            (Label::TargetModelName, pair.target.as_str()),
        ];
        Self {
            labels: stat_name(&labels, "").into(),
            ..Self::default()
        }
    }

    fn add(&mut self, observation: Observation, ledger: &mut Ledger) {
        let Observation { metric, value, label } = observation;
        let series = match label {
            Some((label, name)) => Some(self.labelled(metric, label, name, ledger)),
            None => self
                .metrics
                .get_mut(metric as usize)
                .map(|series| *series.get_or_insert_with(|| ledger.open(metric.metric(), Rc::clone(&self.labels)))),
        };
        if let Some(series) = series {
            ledger.add(series, value);
        }
    }

    fn labelled(&mut self, metric: MetricId, label: Label, value: &'static str, ledger: &mut Ledger) -> SeriesId {
        let known = self
            .labelled
            .iter()
            .find(|(id, name, _)| (*id, *name) == (metric, value));
        if let Some((_, _, series)) = known {
            return *series;
        }
        let labels = format!("{}{}", self.labels, stat_name(&[(label, value)], ""));
        let series = ledger.open(metric.metric(), labels.into());
        self.labelled.push((metric, value, series));
        series
    }
}

#[cfg(test)]
mod tests;
