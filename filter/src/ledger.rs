//! The ledger: the sums of what exchanges add to each series, kept in this VM's memory until they are published to Envoy.
//!
//! A series is an index into an array, so an observation costs an addition or two and no host call, whatever the number of
//! buckets. A series becomes an Envoy stat when it is first published: no scrape sees a part of an exchange.
//!
//! Invariant: what was published plus what is still in the ledger is the sum of all observations.

use std::num::NonZeroU32;
use std::rc::Rc;

use crate::labels::{Label, stat_name};
use crate::metrics::{Bound, Kind, Metric, Unit};
use crate::shared::{StatId, StatKind, StatSink};

const MICROSECONDS_PER_SECOND: u64 = 1_000_000;

/// The sums of one VM.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    series: Vec<Series>,
    /// The series with something to publish, each once.
    dirty: Vec<SeriesId>,
}

/// The position of a series in its ledger, counted from 1: with `None` it has four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeriesId(NonZeroU32);

#[derive(Debug)]
struct Series {
    metric: &'static Metric,
    /// The encoded labels of the stat name.
    labels: Rc<str>,
    is_dirty: bool,
    sums: Sums,
}

#[derive(Debug)]
enum Sums {
    Counter { stat: Option<StatId>, sum: u64 },
    Histogram(Histogram),
}

/// Counters that form a Prometheus histogram. Envoy's own histograms have exclusive bounds and approximate sums.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [Bound],
    unit: Unit,
    stats: Option<HistogramStats>,
    /// Observations by the lowest bucket that they belong to; the last one is `+Inf`.
    counts: Vec<u64>,
    sum: u64,
    /// Microseconds of published observations that are not yet a whole second of `_sum`.
    carried_us: u64,
}

#[derive(Debug)]
struct HistogramStats {
    /// In the order of the bounds, then `+Inf`.
    buckets: Vec<StatId>,
    count: StatId,
    sum: StatId,
    /// Only of a histogram in seconds.
    microseconds: Option<StatId>,
}

// === impl Ledger ===

impl Ledger {
    /// Opens a counter or a histogram. `labels` is the part of its stat name before the metric's name.
    pub(crate) fn open(&mut self, metric: &'static Metric, labels: Rc<str>) -> SeriesId {
        let sums = match metric.kind {
            Kind::Counter | Kind::Gauge => Sums::Counter { stat: None, sum: 0 },
            Kind::Histogram { bounds, unit } => Sums::Histogram(Histogram {
                bounds,
                unit,
                stats: None,
                counts: vec![0; bounds.len() + 1],
                sum: 0,
                carried_us: 0,
            }),
        };
        self.series.push(Series {
            metric,
            labels,
            is_dirty: false,
            sums,
        });
        SeriesId(NonZeroU32::MIN.saturating_add(self.series.len() as u32 - 1))
    }

    /// Adds to a counter, or observes a value. Adding 0 to a counter makes it appear with its current value.
    pub(crate) fn add(&mut self, id: SeriesId, value: u64) {
        let Some(series) = self.series.get_mut(id.index()) else {
            return;
        };
        match &mut series.sums {
            Sums::Counter { sum, .. } => *sum = sum.saturating_add(value),
            Sums::Histogram(histogram) => histogram.observe(value),
        }
        if !series.is_dirty {
            series.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Hands all sums to Envoy. Series that are new are defined before the first sum is handed over, because Envoy takes
    /// far longer to make a stat than to add to one.
    pub(crate) fn publish(&mut self, sink: &mut impl StatSink) {
        let Self { series, dirty } = self;
        for id in dirty.iter() {
            if let Some(series) = series.get_mut(id.index()) {
                series.define(sink);
            }
        }
        for id in dirty.drain(..) {
            if let Some(series) = series.get_mut(id.index()) {
                series.is_dirty = false;
                series.sums.publish(sink);
            }
        }
    }
}

// === impl SeriesId ===

impl SeriesId {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

// === impl Series ===

impl Series {
    fn define(&mut self, sink: &mut impl StatSink) {
        let Self {
            metric, labels, sums, ..
        } = self;
        match sums {
            Sums::Counter { stat: Some(_), .. } | Sums::Histogram(Histogram { stats: Some(_), .. }) => {}
            Sums::Counter { stat, .. } => {
                *stat = sink.define(StatKind::Counter, &format!("{labels}{}", metric.name));
            }
            Sums::Histogram(histogram) => {
                histogram.stats = HistogramStats::define(metric, histogram.bounds, labels, sink);
            }
        }
    }
}

// === impl Sums ===

impl Sums {
    fn publish(&mut self, sink: &mut impl StatSink) {
        match self {
            Self::Counter { stat: Some(stat), sum } => add(sink, *stat, std::mem::take(sum)),
            // Envoy rejected the name: the sum waits for the next attempt.
            Self::Counter { stat: None, .. } => {}
            Self::Histogram(histogram) => histogram.publish(sink),
        }
    }
}

// === impl Histogram ===

impl Histogram {
    fn observe(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| bound.at < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }

    fn publish(&mut self, sink: &mut impl StatSink) {
        let Some(stats) = &self.stats else { return };
        let mut cumulative = 0;
        for (count, stat) in self.counts.iter_mut().zip(&stats.buckets) {
            cumulative += std::mem::take(count);
            add(sink, *stat, cumulative);
        }
        add(sink, stats.count, cumulative);
        let sum = std::mem::take(&mut self.sum);
        match (self.unit, stats.microseconds) {
            (Unit::Seconds, Some(microseconds)) => {
                add(sink, microseconds, sum);
                let total = self.carried_us.saturating_add(sum);
                self.carried_us = total % MICROSECONDS_PER_SECOND;
                add(sink, stats.sum, total / MICROSECONDS_PER_SECOND);
            }
            (Unit::Bytes | Unit::Tokens | Unit::Seconds, _) => add(sink, stats.sum, sum),
        }
    }
}

// === impl HistogramStats ===

impl HistogramStats {
    /// Defines all parts at once, so that every bucket exists from the first observation.
    fn define(metric: &Metric, bounds: &[Bound], labels: &str, sink: &mut impl StatSink) -> Option<Self> {
        let mut counter = |name: &str| sink.define(StatKind::Counter, &format!("{labels}{name}"));
        let bucket = format!("{}_bucket", metric.name);
        let les = bounds.iter().map(|bound| bound.le).chain(["+Inf"]);
        Some(Self {
            buckets: les
                .map(|le| counter(&stat_name(&[(Label::Le, le)], &bucket)))
                .collect::<Option<_>>()?,
            count: counter(&format!("{}_count", metric.name))?,
            sum: counter(&format!("{}_sum", metric.name))?,
            microseconds: match metric.microseconds_name() {
                Some(name) => Some(counter(&name)?),
                None => None,
            },
        })
    }
}

fn add(sink: &mut impl StatSink, stat: StatId, value: u64) {
    if let Ok(delta @ 1..) = i64::try_from(value) {
        sink.add(stat, delta);
    }
}

#[cfg(test)]
mod tests;
