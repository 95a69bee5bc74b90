//! Turns observations into increments of stats. It caches the handles of every series that it has touched: a stat is
//! defined once a worker, and an observation is a few increments.

use std::collections::HashMap;

use crate::labels::{ErrorCode, Label, stat_name};
use crate::metrics::{Bound, Kind, METRICS, Metric, MetricId, Observation, Unit, observe};
use crate::record::{ModelPair, Record};
use crate::shared::{StatId, StatKind, StatSink};

const MICROSECONDS_PER_SECOND: u64 = 1_000_000;

/// The series of one worker.
#[derive(Debug, Default)]
pub struct Recorder {
    pairs: HashMap<ModelPair, PairSeries>,
}

/// The series of one pair of model names, by row of the table; each is defined when it is first observed.
#[derive(Debug, Default)]
struct PairSeries {
    metrics: [Option<Series>; METRICS.len()],
    errors: [Option<StatId>; ErrorCode::COUNT],
}

#[derive(Debug)]
enum Series {
    Counter(StatId),
    Histogram(Histogram),
}

/// Counters that look like a Prometheus histogram. (Envoy's own histograms have exclusive bounds and sums that are
/// guessed from the buckets.)
#[derive(Debug)]
struct Histogram {
    /// Ascending; the counter of a bucket also counts what is in the buckets below.
    buckets: Vec<(&'static Bound, StatId)>,
    infinity: StatId,
    count: StatId,
    sum: StatId,
    seconds: Option<Seconds>,
}

/// A sum in seconds made of microseconds: what is not yet a whole second is carried over to the next observation.
#[derive(Debug)]
struct Seconds {
    microseconds: StatId,
    carried_us: u64,
}

// === impl Recorder ===

impl Recorder {
    /// Adds a finished exchange to the stats.
    pub fn record(&mut self, record: &Record, sink: &mut impl StatSink) {
        if !self.pairs.contains_key(&record.labels) {
            self.pairs.insert(record.labels.clone(), PairSeries::default());
        }
        if let Some(series) = self.pairs.get_mut(&record.labels) {
            observe(record, |observation| series.add(&record.labels, observation, sink));
        }
    }
}

// === impl PairSeries ===

impl PairSeries {
    fn add(&mut self, pair: &ModelPair, observation: Observation, sink: &mut impl StatSink) {
        let metric = observation.metric.metric();
        let labels = [
            (Label::ModelName, pair.model.as_str()),
            (Label::TargetModelName, pair.target.as_str()),
        ];
        if let Some(code) = observation.code {
            let [model, target] = labels;
            let labels = [model, target, (Label::ErrorCode, code.as_str())];
            let Some(slot) = self.errors.get_mut(code as usize) else {
                return;
            };
            if slot.is_none() {
                *slot = sink.define(StatKind::Counter, &stat_name(&labels, metric.name));
            }
            if let Some(stat) = *slot {
                add(sink, stat, observation.value);
            }
            return;
        }
        let Some(slot) = self.metrics.get_mut(observation.metric as usize) else {
            return;
        };
        if slot.is_none() {
            *slot = Series::define(metric, &labels, sink);
        }
        match slot {
            Some(Series::Counter(stat)) => add(sink, *stat, observation.value),
            Some(Series::Histogram(histogram)) => histogram.observe(observation.value, sink),
            None => {}
        }
    }
}

// === impl Series ===

impl Series {
    fn define(metric: &'static Metric, labels: &[(Label, &str)], sink: &mut impl StatSink) -> Option<Self> {
        match metric.kind {
            Kind::Counter => sink
                .define(StatKind::Counter, &stat_name(labels, metric.name))
                .map(Self::Counter),
            Kind::Gauge => None,
            Kind::Histogram { bounds, unit } => {
                Histogram::define(metric, bounds, unit, labels, sink).map(Self::Histogram)
            }
        }
    }
}

// === impl Histogram ===

impl Histogram {
    /// Defines all of it at once, so that every bucket is there from the first observation on.
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

/// Makes the gauge that tells what was built. Its value is always 1.
pub fn record_build(commit: &str, build_ref: &str, sink: &mut impl StatSink) {
    let labels = [(Label::Commit, commit), (Label::BuildRef, build_ref)];
    if let Some(stat) = sink.define(StatKind::Gauge, &stat_name(&labels, MetricId::Info.metric().name)) {
        sink.set_gauge(stat, 1);
    }
}

#[cfg(test)]
mod tests;
