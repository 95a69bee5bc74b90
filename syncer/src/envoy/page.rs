//! Gathers the samples of a page into series.
//!
//! A series is told from the others by the labels that the filter's table gives it. Those are the stat's whole name in
//! Envoy, so a label more (of a mesh's or a user's own tags) is a constant or follows from that name; it is not served, and
//! leaving it out can't make two series one. Should a page hold two that differ in nothing else, because it is not one
//! Envoy's, then neither is served.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use infertally_filter::labels::Label;
use infertally_filter::metrics::Metric;

use super::left_out::{Counts, LeftOut};
use super::names::{Part, Place};
use super::parts::{Counter, Parts};
use super::{EnvoyPage, rows};
use crate::exposition::{Family, Labels, Sample, Series};

/// From here on a value does not fit a `u64`. (Above 2^53 a page's numbers are rounded as Prometheus rounds them.)
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

/// The series of a page, as far as it has been read.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    rows: Vec<Row>,
    room: usize,
    left_out: Counts,
    /// The values of a sample's labels, in the order of the table; kept for its memory.
    values: Vec<Cow<'a, str>>,
    /// The same as a key.
    key: Vec<u8>,
}

/// The series of one metric.
#[derive(Debug)]
struct Row {
    metric: &'static Metric,
    /// The place in `series` of each set of label values.
    places: HashMap<Vec<u8>, usize>,
    series: Vec<Gathered>,
}

/// A series whose samples are being gathered.
#[derive(Debug)]
struct Gathered {
    labels: Vec<(&'static str, Arc<str>)>,
    parts: Parts,
    /// A sample of it was there twice, and nobody knows which is right.
    twice: bool,
}

// === impl Collector ===

impl<'a> Collector<'a> {
    /// With room for so many series.
    pub(super) fn new(room: usize) -> Self {
        let row = |metric| Row {
            metric,
            places: HashMap::new(),
            series: Vec::new(),
        };
        Self {
            rows: rows::metrics().map(row).collect(),
            room,
            left_out: Counts::default(),
            values: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Puts a sample in its place, or counts why it has none.
    pub(super) fn add(&mut self, place: Place, sample: &Sample<'a>) {
        if let Err(reason) = self.put(place, sample) {
            self.left_out.add(reason);
        }
    }

    fn put(&mut self, Place { row, part }: Place, sample: &Sample<'a>) -> Result<(), LeftOut> {
        let Self {
            rows,
            room,
            left_out: _,
            values,
            key,
        } = self;
        let Some(row) = rows.get_mut(row) else { return Ok(()) };
        let value = whole(sample.value).ok_or(LeftOut::NotAWholeNumber)?;
        let le = take_labels(row.metric.labels, &sample.labels, values)?;
        let counter = match part {
            Part::Value => Counter::Value,
            Part::Sum => Counter::Sum,
            Part::Bucket => le
                .and_then(|le| Counter::bucket(row.metric, &le))
                .ok_or(LeftOut::OtherLabels)?,
        };
        write_key(values, key);
        let series = row.series(key, values, room).ok_or(LeftOut::BeyondCap)?;
        series.twice |= !series.parts.set(counter, value);
        Ok(())
    }

    /// All of it.
    pub(super) fn finish(self) -> EnvoyPage {
        let Self { rows, mut left_out, .. } = self;
        let families = rows.into_iter().map(|row| row.finish(&mut left_out)).collect();
        EnvoyPage { families, left_out }
    }
}

// === impl Row ===

impl Row {
    /// The series with these label values; made if there is room.
    fn series(&mut self, key: &[u8], values: &[Cow<'_, str>], room: &mut usize) -> Option<&mut Gathered> {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                *room = room.checked_sub(1)?;
                let labels = self.metric.labels.iter().zip(values);
                self.series.push(Gathered {
                    labels: labels
                        .map(|(label, value)| (label.as_str(), Arc::from(value.as_ref())))
                        .collect(),
                    parts: Parts::new(self.metric),
                    twice: false,
                });
                let place = self.series.len() - 1;
                self.places.insert(key.to_vec(), place);
                place
            }
        };
        self.series.get_mut(place)
    }

    /// The metric's family.
    fn finish(self, left_out: &mut Counts) -> Family {
        let Self {
            metric,
            places: _,
            series,
        } = self;
        let mut family = rows::family(metric);
        for Gathered { labels, parts, twice } in series {
            if twice {
                left_out.add(LeftOut::Twice);
                continue;
            }
            match parts.value(metric) {
                Some(value) => family.series.push(Series { labels, value }),
                None => left_out.add(LeftOut::Incomplete),
            }
        }
        family
    }
}

/// A number as all of the filter's are: whole, and not below 0.
fn whole(value: f64) -> Option<u64> {
    // Not a number is in no range.
    ((0.0..TOO_LARGE).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// Takes the values of the labels that the table has, each of which must be there once, and gives that of `le`.
fn take_labels<'a>(
    table: &[Label],
    labels: &Labels<'a>,
    values: &mut Vec<Cow<'a, str>>,
) -> Result<Option<Cow<'a, str>>, LeftOut> {
    values.clear();
    values.resize(table.len(), Cow::Borrowed(""));
    let mut le = Cow::Borrowed("");
    for (name, value) in labels.iter() {
        let place = if name == Label::Le.as_str() {
            Some(&mut le)
        } else {
            let index = table.iter().position(|label| label.as_str() == name);
            index.and_then(|index| values.get_mut(index))
        };
        if place.is_some_and(|place| !std::mem::replace(place, value).is_empty()) {
            return Err(LeftOut::OtherLabels);
        }
    }
    // To Prometheus an empty label is none.
    if values.iter().any(|value| value.is_empty()) {
        return Err(LeftOut::OtherLabels);
    }
    Ok(Some(le).filter(|le| !le.is_empty()))
}

/// Writes the values so that no two lists are written alike.
fn write_key(values: &[Cow<'_, str>], key: &mut Vec<u8>) {
    key.clear();
    for value in values {
        key.extend_from_slice(&value.len().to_le_bytes());
        key.extend_from_slice(value.as_bytes());
    }
}
