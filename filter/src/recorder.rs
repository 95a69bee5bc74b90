//! The recorder that turns observations into increments of Envoy stats.
//!
//! It caches the stat handles of every series it has touched: a stat is defined once per worker, and an observation costs
//! a few increments.

use std::collections::HashMap;

use crate::labels::{Label, stat_name};
use crate::metrics::{Bound, Kind, METRICS, Metric, MetricId, Observation, Unit, observe, zeros};
use crate::record::{ModelPair, Record};
use crate::shared::{StatId, StatKind, StatSink};

const MICROSECONDS_PER_SECOND: u64 = 1_000_000;

/// The series that one worker has touched.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pairs: HashMap<ModelPair, SeriesSet>,
    /// Series without model labels.
    filter: SeriesSet,
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

/// The series that share their model labels. Each is defined when it is first observed.
#[derive(Debug, Default)]
struct SeriesSet {
    /// Indexed by [`MetricId`].
    metrics: [Option<Series>; METRICS.len()],
    /// Series with one further label; few, so a linear search is fast.
    labelled: Vec<(MetricId, &'static str, StatId)>,
}

#[derive(Debug)]
enum Series {
    /// A counter or a gauge.
    Single(StatId),
    Histogram(Histogram),
}

/// Counters that form a Prometheus histogram. Envoy's own histograms have exclusive bounds and approximate sums.
#[derive(Debug)]
struct Histogram {
    /// Ascending and cumulative: each bucket counts those below it, too.
    buckets: Vec<(&'static Bound, StatId)>,
    infinity: StatId,
    count: StatId,
    sum: StatId,
    seconds: Option<Seconds>,
}

/// Turns observed microseconds into whole seconds of `_sum`; the remainder is carried over to the next observation.
#[derive(Debug)]
struct Seconds {
    microseconds: StatId,
    carried_us: u64,
}

// === impl Recorder ===

impl Recorder {
    /// Defines the counters that are exported as 0 before their first increment.
    pub(crate) fn define_zeros(&mut self, sink: &mut impl StatSink) {
        for observation in zeros() {
            self.filter.add(&[], observation, sink);
        }
    }

    pub(crate) fn record(&mut self, record: &Record, sink: &mut impl StatSink) {
        let Self { pairs, filter } = self;
        if !pairs.contains_key(&record.labels) {
            pairs.insert(record.labels.clone(), SeriesSet::default());
        }
        let Some(pair) = pairs.get_mut(&record.labels) else {
            return;
        };
        let ModelPair { model, target } = &record.labels;
        let labels = [
            (Label::ModelName, model.as_str()),
            (Label::TargetModelName, target.as_str()),
        ];
        observe(record, |observation| {
            if observation.metric.metric().labels.starts_with(&[Label::ModelName]) {
                pair.add(&labels, observation, sink);
            } else {
                filter.add(&[], observation, sink);
            }
        });
    }

    /// Sets a gauge without labels.
    pub(crate) fn set_gauge(&mut self, metric: MetricId, value: u64, sink: &mut impl StatSink) {
        if let Some(Series::Single(stat)) = self.filter.series(metric, &[], sink) {
            sink.set_gauge(*stat, value);
        }
    }

    /// Sets a gauge without labels to the maximum of its current value and `value`.
    pub(crate) fn raise_gauge(&mut self, metric: MetricId, value: u64, sink: &mut impl StatSink) {
        if let Some(Series::Single(stat)) = self.filter.series(metric, &[], sink)
            && sink.gauge(*stat) < value
        {
            sink.set_gauge(*stat, value);
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
    fn add(&mut self, labels: &[(Label, &str)], observation: Observation, sink: &mut impl StatSink) {
        let Observation { metric, value, label } = observation;
        match label {
            Some((label, name)) => {
                if let Some(stat) = self.labelled(metric, labels, label, name, sink) {
                    add(sink, stat, value);
                }
            }
            None => match self.series(metric, labels, sink) {
                Some(Series::Single(stat)) => add(sink, *stat, value),
                Some(Series::Histogram(histogram)) => histogram.observe(value, sink),
                None => {}
            },
        }
    }

    fn series(&mut self, metric: MetricId, labels: &[(Label, &str)], sink: &mut impl StatSink) -> Option<&mut Series> {
        let slot = self.metrics.get_mut(metric as usize)?;
        if slot.is_none() {
            *slot = Series::define(metric.metric(), labels, sink);
        }
        slot.as_mut()
    }

    fn labelled(
        &mut self,
        metric: MetricId,
        labels: &[(Label, &str)],
        label: Label,
        value: &'static str,
        sink: &mut impl StatSink,
    ) -> Option<StatId> {
        let known = self
            .labelled
            .iter()
            .find(|(id, name, _)| (*id, *name) == (metric, value));
        if let Some((_, _, stat)) = known {
            return Some(*stat);
        }
        let labels: Vec<_> = labels.iter().copied().chain([(label, value)]).collect();
        let stat = sink.define(StatKind::Counter, &stat_name(&labels, metric.metric().name))?;
        self.labelled.push((metric, value, stat));
        Some(stat)
    }
}

// === impl Series ===

impl Series {
    fn define(metric: &'static Metric, labels: &[(Label, &str)], sink: &mut impl StatSink) -> Option<Self> {
        let mut single = |kind| sink.define(kind, &stat_name(labels, metric.name)).map(Self::Single);
        match metric.kind {
            Kind::Counter => single(StatKind::Counter),
            Kind::Gauge => single(StatKind::Gauge),
            Kind::Histogram { bounds, unit } => {
                Histogram::define(metric, bounds, unit, labels, sink).map(Self::Histogram)
            }
        }
    }
}

// === impl Histogram ===

impl Histogram {
    /// Defines all parts at once, so that every bucket exists from the first observation.
    fn define(
        metric: &'static Metric,
        bounds: &'static [Bound],
        unit: Unit,
        labels: &[(Label, &str)],
        sink: &mut impl StatSink,
    ) -> Option<Self> {
        let mut counter =
            |labels: &[(Label, &str)], name: &str| sink.define(StatKind::Counter, &stat_name(labels, name));
        let bucket_name = format!("{}_bucket", metric.name);
        let mut bucket = |le: &str| {
            let labels: Vec<_> = labels.iter().copied().chain([(Label::Le, le)]).collect();
            counter(&labels, &bucket_name)
        };
        let buckets: Option<Vec<_>> = bounds.iter().map(|bound| Some((bound, bucket(bound.le)?))).collect();
        let infinity = bucket("+Inf")?;
        let seconds = match (unit, metric.microseconds_name()) {
            (Unit::Seconds, Some(name)) => Some(Seconds {
                microseconds: counter(labels, &name)?,
                carried_us: 0,
            }),
            _ => None,
        };
        Some(Self {
            buckets: buckets?,
            infinity,
            count: counter(labels, &format!("{}_count", metric.name))?,
            sum: counter(labels, &format!("{}_sum", metric.name))?,
            seconds,
        })
    }

    fn observe(&mut self, value: u64, sink: &mut impl StatSink) {
        for (_, stat) in self.buckets.iter().rev().take_while(|(bound, _)| value <= bound.at) {
            add(sink, *stat, 1);
        }
        add(sink, self.infinity, 1);
        add(sink, self.count, 1);
        match &mut self.seconds {
            None => add(sink, self.sum, value),
            Some(seconds) => {
                add(sink, seconds.microseconds, value);
                let total = seconds.carried_us.saturating_add(value);
                seconds.carried_us = total % MICROSECONDS_PER_SECOND;
                add(sink, self.sum, total / MICROSECONDS_PER_SECOND);
            }
        }
    }
}

fn add(sink: &mut impl StatSink, stat: StatId, value: u64) {
    if let Ok(delta @ 1..) = i64::try_from(value) {
        sink.add(stat, delta);
    }
}

#[cfg(test)]
mod tests;
