//! The stats of a process against the oracle's sums of its exchanges: counters and histograms, bucket by bucket.
//!
//! It takes the names of stats apart as `stats_tags` does, and converts the filter's records to the oracle's facts.

use std::collections::{BTreeMap, HashMap, HashSet};

use infertally_filter::exchange::Outcome;
use infertally_filter::record::Record;
use infertally_filter::response::Usage;
use infertally_oracle::expected::{Distribution, Sums};
use infertally_oracle::labels::ModelPair;
use infertally_oracle::metrics::HISTOGRAMS;
use infertally_oracle::stats::Series;
use infertally_oracle::{Facts, response};

const MICROSECONDS_PER_SECOND: u64 = 1_000_000;
const RUNNING: &str = "inference_model_running_requests";

/// A finished exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The number of the VM that recorded it, among all that there were.
    pub(crate) vm: usize,
    pub(crate) record: Record,
}

/// The stats by metric and labels.
#[derive(Debug, Default)]
pub(crate) struct Stats<'a> {
    values: BTreeMap<Series, i64>,
    /// By the histogram's name: `le` and count, ascending.
    buckets: BTreeMap<Series, Vec<(&'a str, i64)>>,
}

// === impl Stats ===

impl<'a> Stats<'a> {
    /// Takes the names apart. No two may be the same series.
    pub(crate) fn parse(stats: &BTreeMap<&'a str, i64>) -> Self {
        let mut parsed = Self::default();
        for (name, value) in stats {
            let (series, le) = parse(name);
            match le {
                Some(le) => {
                    let stem = series.name.strip_suffix("_bucket").map(str::to_owned);
                    assert!(stem.is_some(), "{name}");
                    let series = Series {
                        name: stem.unwrap_or_default(),
                        ..series
                    };
                    parsed.buckets.entry(series).or_default().push((le, *value));
                }
                None => {
                    let duplicate = parsed.values.insert(series, *value);
                    assert_eq!(duplicate, None, "{name}");
                }
            }
        }
        for buckets in parsed.buckets.values_mut() {
            buckets.sort_by(|(one, _), (other, _)| bound(one).total_cmp(&bound(other)));
        }
        parsed
    }

    /// Panics unless the stats are what these exchanges add up to.
    pub(crate) fn check(&self, exchanges: &[Finished]) {
        let mut vms: HashMap<usize, Sums> = HashMap::new();
        for Finished { vm, record } in exchanges {
            let (models, facts) = facts(record);
            let is_over_limit = record.label_overflow;
            // A name of a header is looked up only, so not every `other` is one over the limit.
            assert!(!is_over_limit || (models.has_other() && facts.is_success), "{models:?}");
            vms.entry(*vm).or_default().add(&models, is_over_limit, &facts);
        }
        let (mut sums, mut seconds) = (Sums::default(), BTreeMap::new());
        for vm in vms.into_values() {
            for (series, distribution) in &vm.histograms {
                // Each VM carries over what is not yet a whole second.
                *seconds.entry(series.clone()).or_default() += distribution.sum / MICROSECONDS_PER_SECOND;
            }
            sums.merge(vm);
        }
        self.check_counters(sums.counters);
        assert!(
            self.buckets.keys().eq(sums.histograms.keys()),
            "{:?}, not {:?}",
            self.buckets.keys(),
            sums.histograms.keys()
        );
        for ((series, wanted), buckets) in sums.histograms.iter().zip(self.buckets.values()) {
            self.check_histogram(series, wanted, buckets, &seconds);
        }
    }

    /// The counters that are no part of a histogram.
    fn check_counters(&self, wanted: BTreeMap<Series, u64>) {
        let is_counter = |name: &str| name.ends_with("_total") && !name.contains("microseconds");
        let found = self
            .values
            .iter()
            .filter(|(series, value)| is_counter(&series.name) && **value > 0);
        let found: BTreeMap<_, _> = found.map(|(series, value)| (series.clone(), *value as u64)).collect();
        assert_eq!(found, wanted);
    }

    fn check_histogram(
        &self,
        series: &Series,
        wanted: &Distribution,
        buckets: &[(&str, i64)],
        seconds: &BTreeMap<Series, u64>,
    ) {
        let Distribution {
            buckets: wanted_buckets,
            count,
            sum,
        } = wanted;
        assert!(
            buckets
                .iter()
                .map(|(le, count)| (*le, *count as u64))
                .eq(wanted_buckets.iter().copied()),
            "{series}: {buckets:?}, not {wanted_buckets:?}"
        );
        let value = |name: String| {
            let labels = series.labels.clone();
            self.values.get(&Series { name, labels }).map(|value| *value as u64)
        };
        let name = &series.name;
        assert_eq!(value(format!("{name}_count")), Some(*count), "{series}");
        let microseconds = HISTOGRAMS
            .iter()
            .find(|row| row.name == *name)
            .and_then(|row| row.microseconds());
        match microseconds {
            Some(microseconds) => {
                assert_eq!(value(microseconds), Some(*sum), "{series}");
                let seconds = seconds.get(series).copied().unwrap_or_default();
                assert_eq!(value(format!("{name}_sum")).unwrap_or_default(), seconds, "{series}");
            }
            None => assert_eq!(value(format!("{name}_sum")).unwrap_or_default(), *sum, "{series}"),
        }
    }

    /// Panics if there are more than `max_models` model names beside `models` and the reserved ones.
    pub(crate) fn check_names(&self, models: &[String], max_models: usize) {
        let labels = self.values.keys().flat_map(|series| &series.labels);
        let others: HashSet<&str> = labels
            .filter(|(label, _)| label.ends_with("model_name"))
            .map(|(_, name)| name.as_str())
            .filter(|name| !["other", "unknown"].contains(name) && !models.iter().any(|model| model == name))
            .collect();
        assert!(others.len() <= max_models, "more than {max_models} names: {others:?}");
        let pairs: HashSet<_> = self
            .values
            .keys()
            .filter_map(pair)
            .filter(|(model, target)| model != target)
            .collect();
        assert!(pairs.len() <= models.len() + max_models, "{pairs:?}");
    }
}

/// Panics unless the gauge shows exactly these models' requests as running, one for each time a model is named.
pub(crate) fn check_running(stats: &BTreeMap<&str, i64>, models: impl Iterator<Item = String>) {
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for model in models {
        *wanted.entry(format!("model_name=.={model};.;{RUNNING}")).or_default() += 1;
    }
    let running = stats
        .iter()
        .filter(|(name, value)| name.ends_with(RUNNING) && **value != 0);
    let found: BTreeMap<String, i64> = running.map(|(name, value)| (String::from(*name), *value)).collect();
    assert_eq!(found, wanted, "running requests");
}

/// A record as the oracle's facts, with its labels.
fn facts(record: &Record) -> (ModelPair, Facts) {
    let Record {
        labels,
        pair: _,
        outcome,
        duration_us,
        request_bytes,
        response_bytes,
        usage,
        usage_source,
        finish_reasons,
        is_stream,
        invalid_request,
        invalid_response,
        label_overflow: _,
    } = record;
    let Usage {
        input,
        output,
        cached_input,
        reasoning_output,
        audio_seconds,
    } = *usage;
    let models = ModelPair {
        model: labels.model.as_str().to_owned(),
        target: labels.target.as_str().to_owned(),
    };
    let facts = Facts {
        requested_model: None,
        response_model: None,
        is_success: usage_source.is_some(),
        is_stream: *is_stream,
        outcome: match outcome {
            Outcome::Success => infertally_oracle::Outcome::Success,
            Outcome::Failed(code) => infertally_oracle::Outcome::Failed(code.as_str()),
            Outcome::Cancelled => infertally_oracle::Outcome::Cancelled,
        },
        duration_us: Some(*duration_us),
        request_bytes: *request_bytes,
        response_bytes: *response_bytes,
        usage: response::Usage {
            input,
            output,
            cached_input,
            reasoning_output,
            audio_seconds,
        },
        usage_source: usage_source.map(|source| source.as_str()),
        finish_reasons: finish_reasons
            .iter()
            .map(|(reason, count)| (reason.as_str(), count.into()))
            .collect(),
        invalid_request: *invalid_request,
        invalid_response: *invalid_response,
    };
    (models, facts)
}

/// The values of a series' two model labels, if it has both.
fn pair(series: &Series) -> Option<(&str, &str)> {
    let value = |name: &str| {
        let mut labels = series.labels.iter();
        labels.find_map(|(label, value)| (label == name).then_some(value.as_str()))
    };
    Some((value("model_name")?, value("target_model_name")?))
}

/// A stat's name as a series, and a bucket's `le`.
fn parse(name: &str) -> (Series, Option<&str>) {
    let mut parts: Vec<&str> = name.split(";.;").collect();
    let metric = parts.pop().unwrap_or_default();
    let mut labels: Vec<_> = parts.iter().filter_map(|part| part.split_once("=.=")).collect();
    let plain =
        |text: &str| !text.is_empty() && text.chars().all(|sign| !";=\"\\".contains(sign) && !sign.is_control());
    assert_eq!(labels.len(), parts.len(), "{name}");
    assert!(
        plain(metric) && labels.iter().all(|(label, value)| plain(label) && plain(value)),
        "{name}"
    );
    let le = labels.pop_if(|(label, _)| *label == "le").map(|(_, le)| le);
    (Series::new(metric, &labels), le)
}

fn bound(le: &str) -> f64 {
    le.parse().unwrap_or(f64::NAN)
}
