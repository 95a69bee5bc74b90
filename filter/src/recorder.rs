//! The recorder that turns records into additions to the [`Ledger`].
//!
//! It knows the series of every pair of model names that this VM has seen, so that an observation is an index.

use std::rc::Rc;

use crate::labels::{Label, stat_name};
use crate::ledger::{Ledger, SeriesId};
use crate::metrics::{MetricId, Observation, SERIES, observe, position, zeros};
use crate::record::{ModelPair, Record};
use crate::shared::{StatId, StatKind, StatSink};

/// The series that one worker has touched.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    ledger: Ledger,
    /// Indexed by [`PairId`](crate::names::PairId).
    pairs: Vec<Option<SeriesSet>>,
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
#[derive(Debug)]
struct SeriesSet {
    /// The encoded model labels.
    labels: Rc<str>,
    /// Indexed by [`position`].
    series: [Option<SeriesId>; SERIES],
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
        let index = record.pair.index();
        if pairs.len() <= index {
            pairs.resize_with(index + 1, || None);
        }
        let Some(pair) = pairs.get_mut(index) else { return };
        let pair = pair.get_or_insert_with(|| SeriesSet::new(&record.labels));
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

impl Default for SeriesSet {
    /// Without model labels.
    fn default() -> Self {
        Self {
            labels: Rc::default(),
            series: [None; SERIES],
        }
    }
}

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
        let Self { labels, series } = self;
        let Some(series) = series.get_mut(position(metric, label)) else {
            return;
        };
        let series = *series.get_or_insert_with(|| {
            let labels = match label {
                None => Rc::clone(labels),
                Some(label) => format!("{labels}{}", stat_name(&[(label.label(), label.as_str())], "")).into(),
            };
            ledger.open(metric.metric(), labels)
        });
        ledger.add(series, value);
    }
}

#[cfg(test)]
mod tests;
