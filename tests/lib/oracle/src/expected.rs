//! The series that an Envoy must show after a number of exchanges.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::{Facts, Outcome};
use crate::labels::{Admission, ModelPair, UNKNOWN};
use crate::metrics::{
    AUDIO_SECONDS, CANCELLED, CONFIG_ERRORS, ERRORS, FINISH_REASONS, HISTOGRAMS, Histogram, LABEL_OVERFLOW, Observed,
    PARSE_FAILURES, REQUESTS, RUNNING, USAGE,
};
use crate::stats::{Series, Stats, difference, total};

/// Series that no exchange determines.
const OWN_STATE: [&str; 3] = [
    "_info",
    "infertally_filter_admitted_models",
    "infertally_filter_memory_bytes",
];
const MICROSECONDS_PER_SECOND: u64 = 1_000_000;
/// Nothing in the tests takes longer.
const MAX_MICROSECONDS: u64 = 3_600 * MICROSECONDS_PER_SECOND;

/// What exchanges add up to, by metric and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// Counters.
    pub counters: BTreeMap<Series, u64>,
    /// Histograms.
    pub histograms: BTreeMap<Series, Distribution>,
}

/// A histogram's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Known values up to each bound, by `le`.
    pub buckets: Vec<(&'static str, u64)>,
    /// Observations, those of unknown times included.
    pub count: u64,
    /// The sum of the known values, in bytes, tokens or microseconds.
    pub sum: u64,
}

/// The series of one Envoy with the filter.
#[derive(Clone, Debug)]
pub struct Expected {
    workers: u64,
    admission: Admission,
    sums: Sums,
    /// Models whose gauge of running requests exists.
    running: BTreeSet<String>,
}

// === impl Sums ===

impl Sums {
    /// Adds an exchange with these labels. `is_over_limit` if a label is `other` because the limit of names was reached.
    pub fn add(&mut self, models: &ModelPair, is_over_limit: bool, facts: &Facts) {
        let Facts {
            requested_model: _,
            response_model: _,
            is_success,
            is_stream: _,
            outcome,
            duration_us: _,
            request_bytes: _,
            response_bytes: _,
            usage,
            usage_source,
            finish_reasons,
            invalid_request,
            invalid_response,
        } = facts;
        let pair = models.labels();
        let with = |label, value| [&pair[..], &[(label, value)]].concat();
        self.count(REQUESTS, &pair, 1);
        match outcome {
            Outcome::Failed(code) => self.count(ERRORS, &with("error_code", code), 1),
            Outcome::Cancelled => self.count(CANCELLED, &pair, 1),
            Outcome::Success => {}
        }
        for (reason, count) in finish_reasons {
            self.count(FINISH_REASONS, &with("finish_reason", reason), *count);
        }
        if let Some(source) = usage_source {
            self.count(USAGE, &with("source", source), 1);
        }
        if let Some(seconds) = usage.audio_seconds.filter(|seconds| *seconds > 0) {
            self.count(AUDIO_SECONDS, &pair, seconds);
        }
        for (is_invalid, source) in [(invalid_request, "request"), (invalid_response, "response")] {
            if *is_invalid {
                self.count(PARSE_FAILURES, &[("source", source)], 1);
            }
        }
        if *is_success && is_over_limit {
            self.count(LABEL_OVERFLOW, &[], 1);
        }
        for histogram in &HISTOGRAMS {
            let observed = (histogram.observed)(facts);
            if observed != Observed::Nothing {
                let series = self.histograms.entry(Series::new(histogram.name, &pair));
                series
                    .or_insert_with(|| Distribution::new(histogram))
                    .observe(histogram, observed);
            }
        }
    }

    /// Adds all of another's exchanges.
    pub fn merge(&mut self, other: Self) {
        for (series, count) in other.counters {
            *self.counters.entry(series).or_default() += count;
        }
        for (series, distribution) in other.histograms {
            match self.histograms.entry(series) {
                Entry::Vacant(entry) => _ = entry.insert(distribution),
                Entry::Occupied(mut entry) => entry.get_mut().merge(&distribution),
            }
        }
    }

    fn count(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        *self.counters.entry(Series::new(name, labels)).or_default() += count;
    }
}

// === impl Distribution ===

impl Distribution {
    fn new(histogram: &Histogram) -> Self {
        Self {
            buckets: histogram.bounds().map(|(le, _)| (le, 0)).collect(),
            count: 0,
            sum: 0,
        }
    }

    fn observe(&mut self, histogram: &Histogram, observed: Observed) {
        self.count += 1;
        let Observed::Value(value) = observed else { return };
        self.sum += value;
        for ((_, count), (_, bound)) in self.buckets.iter_mut().zip(histogram.bounds()) {
            *count += u64::from(value as f64 <= bound);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }
}

// === impl Expected ===

impl Expected {
    /// No exchange yet, in an Envoy with this many workers.
    pub fn new(workers: u64) -> Self {
        Self::admitting(workers, [])
    }

    /// The same with these models in the filter's configuration.
    pub fn admitting<const N: usize>(workers: u64, models: [&str; N]) -> Self {
        Self {
            workers,
            admission: Admission::new(models),
            sums: Sums::default(),
            running: BTreeSet::new(),
        }
    }

    /// Adds an exchange.
    pub fn add(&mut self, facts: &Facts) {
        let [requested, response] = [&facts.requested_model, &facts.response_model].map(Option::as_deref);
        let models = self.admission.pair(requested, response, facts.is_success);
        // Names come from bodies only here, so a 2xx response admits each below the limit.
        self.sums.add(&models, models.has_other(), facts);
        if models.model != UNKNOWN {
            self.running.insert(models.model);
        }
    }

    /// How many exchanges were added.
    pub fn requests(&self) -> u64 {
        total(&self.sums.counters, REQUESTS)
    }

    /// Compares a scrape with all exchanges: every series must be equal. Histograms of times must be consistent instead, with
    /// a sum that fits their counter of microseconds.
    ///
    /// # Errors
    /// Every difference, a line each.
    pub fn check(&self, scrape: &Stats) -> Result<(), String> {
        let wanted = self.stats();
        let mut seen = scrape.clone();
        seen.retain(|series, _| !OWN_STATE.iter().any(|name| series.name.ends_with(name)));
        let mut faults = Vec::new();
        for (series, value) in &mut seen {
            if let Some(fault) = self.check_time(scrape, series, *value) {
                faults.push(format!("  {series}: {fault}"));
            }
            if is_unknown_time(series) {
                *value = wanted.get(series).copied().unwrap_or(u64::MAX);
            }
        }
        if seen != wanted {
            faults.push(difference(&seen, &wanted));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults.join("\n"))
        }
    }

    /// All series; 0 for times.
    fn stats(&self) -> Stats {
        let start = [
            Series::new(CONFIG_ERRORS, &[]),
            Series::new(LABEL_OVERFLOW, &[]),
            Series::new(PARSE_FAILURES, &[("source", "response")]),
            Series::new(PARSE_FAILURES, &[("source", "request")]),
        ];
        let mut stats: Stats = start.map(|series| (series, 0)).into();
        stats.extend(self.sums.counters.clone());
        let gauge = |model: &String| (Series::new(RUNNING, &[("model_name", model)]), 0);
        stats.extend(self.running.iter().map(gauge));
        for (
            series,
            Distribution {
                buckets, count, sum, ..
            },
        ) in &self.sums.histograms
        {
            for (le, below) in buckets {
                let mut bucket = series.suffixed("_bucket");
                bucket.labels.insert("le".to_owned(), (*le).to_owned());
                stats.insert(bucket, if *le == "+Inf" { *count } else { *below });
            }
            stats.insert(series.suffixed("_count"), *count);
            stats.insert(series.suffixed("_sum"), *sum);
            if let Some(name) = HISTOGRAMS
                .iter()
                .find(|row| row.name == series.name)
                .and_then(Histogram::microseconds)
            {
                stats.insert(Series { name, ..series.clone() }, 0);
            }
        }
        stats
    }

    /// The fault of a value that is a time.
    fn check_time(&self, scrape: &Stats, series: &Series, value: u64) -> Option<String> {
        let histogram = time_histogram(series).filter(|_| is_unknown_time(series))?;
        let mut labels = series.labels.clone();
        labels.remove("le");
        let other = |name: String| {
            let labels = labels.clone();
            scrape.get(&Series { name, labels }).copied().unwrap_or_default()
        };
        let count = other(format!("{}_count", histogram.name));
        let microseconds = other(histogram.microseconds()?);
        if series.name.ends_with("_bucket") {
            (value > count).then(|| format!("{value} of {count}"))
        } else if series.name.ends_with("_sum") {
            // Each worker carries less than a second.
            let seconds = microseconds / MICROSECONDS_PER_SECOND;
            (value > seconds || value + self.workers <= seconds).then(|| format!("{value} s of {microseconds} µs"))
        } else {
            // Loopback takes some microseconds.
            (value < count || value > count * MAX_MICROSECONDS).then(|| format!("{value} µs for {count}"))
        }
    }
}

fn time_histogram(series: &Series) -> Option<&'static Histogram> {
    let is_of = |histogram: &&Histogram| {
        histogram
            .microseconds()
            .is_some_and(|name| series.name == name || series.name.starts_with(histogram.name))
    };
    HISTOGRAMS.iter().find(is_of)
}

/// Whether the value is a time, or depends on one.
fn is_unknown_time(series: &Series) -> bool {
    time_histogram(series).is_some() && !series.name.ends_with("_count") && series.label("le") != "+Inf"
}
