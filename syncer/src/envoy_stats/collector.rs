//! [`Collector`], which groups the samples of a page into series.
//!
//! The labels of the filter's table identify a series. In Envoy they are the stat's complete name, so any further label, of
//! a mesh's or a user's tags, is constant or follows from that name. It is not served, and omitting it cannot make two
//! series equal. If a page has two that differ in nothing else, it is not the page of one Envoy, and neither is served.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use infertally_filter::labels::Label;
use infertally_filter::metrics::Metric;

use super::counters::{Counter, Counters};
use super::dropped::{DropCounts, DropReason};
use super::families;
use super::names::{Component, Part};
use super::page::EnvoyPage;
use crate::exposition::{Family, Labels, Sample, Series};

/// The first value that does not fit a `u64`. (Above 2^53 numbers are rounded, by Prometheus, too.)
const VALUE_LIMIT: f64 = 18_446_744_073_709_551_616.0;

/// The series of the page so far.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    metrics: Vec<MetricSeries>,
    /// How many series may still be added.
    remaining: usize,
    dropped: DropCounts,
    /// The label values of the current sample, in the table's order. A field so that its memory is reused.
    values: Vec<Cow<'a, str>>,
    /// `values` as a key. A field so that its memory is reused.
    key: Vec<u8>,
}

/// The series of one metric.
#[derive(Debug)]
struct MetricSeries {
    metric: &'static Metric,
    /// The index in `series` by key.
    index: HashMap<Vec<u8>, usize>,
    series: Vec<SeriesBuilder>,
}

/// A series that is being read.
#[derive(Debug)]
struct SeriesBuilder {
    labels: Vec<(&'static str, Arc<str>)>,
    counters: Counters,
    /// A sample occurred twice, and nothing shows which value is right.
    is_duplicate: bool,
}

// === impl Collector ===

impl<'a> Collector<'a> {
    pub(super) fn new(max_series: usize) -> Self {
        let metric_series = |metric| MetricSeries {
            metric,
            index: HashMap::new(),
            series: Vec::new(),
        };
        Self {
            metrics: families::metrics().map(metric_series).collect(),
            remaining: max_series,
            dropped: DropCounts::default(),
            values: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Adds a sample to its series, or counts it as dropped.
    pub(super) fn add(&mut self, component: Component, sample: &Sample<'a>) {
        if let Err(reason) = self.try_add(component, sample) {
            self.dropped.increment(reason);
        }
    }

    fn try_add(&mut self, Component { metric, part }: Component, sample: &Sample<'a>) -> Result<(), DropReason> {
        let Self {
            metrics,
            remaining,
            dropped: _,
            values,
            key,
        } = self;
        let Some(row) = metrics.get_mut(metric) else {
            return Ok(());
        };
        let value = integer(sample.value).ok_or(DropReason::InvalidValue)?;
        let le = read_labels(row.metric.labels, &sample.labels, values)?;
        let counter = match part {
            Part::Value => Counter::Value,
            Part::Sum => Counter::Sum,
            Part::Bucket => le
                .and_then(|le| Counter::bucket(row.metric, &le))
                .ok_or(DropReason::UnexpectedLabels)?,
        };
        write_key(values, key);
        let series = row.series(key, values, remaining).ok_or(DropReason::OverLimit)?;
        series.is_duplicate |= !series.counters.set(counter, value);
        Ok(())
    }

    /// The page, after its last sample.
    pub(super) fn finish(self) -> EnvoyPage {
        let Self {
            metrics, mut dropped, ..
        } = self;
        let families = metrics.into_iter().map(|row| row.finish(&mut dropped)).collect();
        EnvoyPage { families, dropped }
    }
}

// === impl MetricSeries ===

impl MetricSeries {
    /// The series with these label values. Creates it unless `remaining` is 0.
    fn series(&mut self, key: &[u8], values: &[Cow<'_, str>], remaining: &mut usize) -> Option<&mut SeriesBuilder> {
        let index = match self.index.get(key) {
            Some(index) => *index,
            None => {
                *remaining = remaining.checked_sub(1)?;
                let labels = self.metric.labels.iter().zip(values);
                self.series.push(SeriesBuilder {
                    labels: labels
                        .map(|(label, value)| (label.as_str(), Arc::from(value.as_ref())))
                        .collect(),
                    counters: Counters::new(self.metric),
                    is_duplicate: false,
                });
                let index = self.series.len() - 1;
                self.index.insert(key.to_vec(), index);
                index
            }
        };
        self.series.get_mut(index)
    }

    fn finish(self, dropped: &mut DropCounts) -> Family {
        let Self {
            metric,
            index: _,
            series,
        } = self;
        let mut family = families::empty_family(metric);
        for SeriesBuilder {
            labels,
            counters,
            is_duplicate,
        } in series
        {
            if is_duplicate {
                dropped.increment(DropReason::Duplicate);
                continue;
            }
            match counters.value(metric) {
                Some(value) => family.series.push(Series { labels, value }),
                None => dropped.increment(DropReason::Incomplete),
            }
        }
        family
    }
}

/// The value as an integer from 0 up, which all of the filter's are.
fn integer(value: f64) -> Option<u64> {
    // NaN is in no range.
    ((0.0..VALUE_LIMIT).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// Writes the values of the labels of `table` to `values` and returns that of `le`. Each label must occur exactly once.
fn read_labels<'a>(
    table: &[Label],
    labels: &Labels<'a>,
    values: &mut Vec<Cow<'a, str>>,
) -> Result<Option<Cow<'a, str>>, DropReason> {
    values.clear();
    values.resize(table.len(), Cow::Borrowed(""));
    let mut le = Cow::Borrowed("");
    for (name, value) in labels.iter() {
        let target = if name == Label::Le.as_str() {
            Some(&mut le)
        } else {
            let index = table.iter().position(|label| label.as_str() == name);
            index.and_then(|index| values.get_mut(index))
        };
        if target.is_some_and(|target| !std::mem::replace(target, value).is_empty()) {
            return Err(DropReason::UnexpectedLabels);
        }
    }
    // To Prometheus an empty label is absent.
    if values.iter().any(|value| value.is_empty()) {
        return Err(DropReason::UnexpectedLabels);
    }
    Ok(Some(le).filter(|le| !le.is_empty()))
}

/// Writes the values so that different lists have different keys.
fn write_key(values: &[Cow<'_, str>], key: &mut Vec<u8>) {
    key.clear();
    for value in values {
        key.extend_from_slice(&value.len().to_le_bytes());
        key.extend_from_slice(value.as_bytes());
    }
}
