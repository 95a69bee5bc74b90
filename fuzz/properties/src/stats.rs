//! What the stats of a process must say, given the records of its exchanges. It takes the names of stats apart as
//! `stats_tags` does and counts again from the records; it knows the contract's metrics and no table of the filter.

use std::collections::{BTreeMap, HashMap, HashSet};

use infertally_filter::exchange::Outcome;
use infertally_filter::record::Record;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const RUNNING: &str = "inference_model_running_requests";

/// A stat's name taken apart; a bucket's has no `le`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Series<'a> {
    metric: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

/// A finished exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Which of the VMs that there have been recorded it.
    pub(crate) vm: usize,
    pub(crate) record: Record,
}

/// The stats, by what their names mean.
#[derive(Debug, Default)]
pub(crate) struct Stats<'a> {
    values: HashMap<Series<'a>, i64>,
    /// By the name that ends in `_bucket`: upper bound and count, ascending.
    buckets: HashMap<Series<'a>, Vec<(f64, i64)>>,
}

/// A histogram's number, taken from a record in the unit of its bounds times `scale`.
struct Measure {
    metric: &'static str,
    scale: f64,
    of: fn(&Record) -> Option<u64>,
}

const MEASURES: [Measure; 7] = [
    Measure {
        metric: "inference_model_request_duration_seconds",
        scale: 1e6,
        of: |record| Some(record.duration_us),
    },
    Measure {
        metric: "inference_model_request_sizes",
        scale: 1.0,
        of: |record| Some(record.request_bytes),
    },
    Measure {
        metric: "inference_model_response_sizes",
        scale: 1.0,
        of: |record| Some(record.response_bytes),
    },
    Measure {
        metric: "inference_model_input_tokens",
        scale: 1.0,
        of: |record| record.usage.input,
    },
    Measure {
        metric: "inference_model_output_tokens",
        scale: 1.0,
        of: |record| record.usage.output,
    },
    Measure {
        metric: "inference_model_cached_input_tokens",
        scale: 1.0,
        of: |record| record.usage.cached_input,
    },
    Measure {
        metric: "inference_model_reasoning_output_tokens",
        scale: 1.0,
        of: |record| record.usage.reasoning_output,
    },
];

// === impl Stats ===

impl<'a> Stats<'a> {
    /// Takes the names apart. No two may mean the same.
    pub(crate) fn parse(stats: &BTreeMap<&'a str, i64>) -> Self {
        let mut parsed = Self::default();
        for (name, value) in stats {
            let mut series = Series::parse(name);
            match series.labels.pop_if(|(label, _)| *label == "le") {
                Some((_, le)) => {
                    let bound = le.parse();
                    assert!(bound.is_ok(), "{name}");
                    let buckets = parsed.buckets.entry(series).or_default();
                    buckets.extend(bound.map(|bound| (bound, *value)));
                }
                None => {
                    let twice = parsed.values.insert(series, *value);
                    assert_eq!(twice, None, "{name}");
                }
            }
        }
        for buckets in parsed.buckets.values_mut() {
            buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        }
        parsed
    }

    /// Panics if the stats are not what these exchanges add up to.
    pub(crate) fn check(&self, exchanges: &[Finished]) {
        self.check_histograms();
        let mut pairs: HashMap<_, Vec<&Finished>> = HashMap::new();
        for exchange in exchanges {
            pairs.entry(&exchange.record.labels).or_default().push(exchange);
        }
        for (pair, exchanges) in &pairs {
            let pair = [
                ("model_name", pair.model.as_str()),
                ("target_model_name", pair.target.as_str()),
            ];
            self.check_pair(&pair, exchanges);
        }
        self.check_counters(exchanges);
    }

    fn check_pair(&self, pair: &[(&str, &str)], exchanges: &[&Finished]) {
        for Measure { metric, scale, of } in &MEASURES {
            let values: Vec<u64> = exchanges.iter().filter_map(|exchange| of(&exchange.record)).collect();
            let sum = values.iter().sum::<u64>() as i64;
            let found = self.value(&format!("{metric}_sum"), pair);
            if let Some(stem) = metric.strip_suffix("_seconds") {
                let exact = self.value(&format!("{stem}_microseconds_total"), pair);
                assert_eq!(exact, sum, "{metric} of {pair:?}");
                // Each VM keeps back what is not yet a whole second.
                let mut by_vm: HashMap<usize, i64> = HashMap::new();
                for exchange in exchanges {
                    *by_vm.entry(exchange.vm).or_default() += of(&exchange.record).unwrap_or(0) as i64;
                }
                let whole: i64 = by_vm.values().map(|sum| sum / MICROSECONDS_PER_SECOND).sum();
                assert_eq!(found, whole, "{metric} of {pair:?}");
            } else {
                assert_eq!(found, sum, "{metric} of {pair:?}");
            }
            let bucket = format!("{metric}_bucket");
            let series = Series {
                metric: &bucket,
                labels: pair.to_vec(),
            };
            let buckets = self.buckets.get(&series).map_or(&[][..], Vec::as_slice);
            assert_eq!(buckets.is_empty(), values.is_empty(), "{metric} of {pair:?}");
            for (le, count) in buckets {
                let below = values
                    .iter()
                    .filter(|value| **value as f64 <= (le * scale).round())
                    .count();
                assert_eq!(*count, below as i64, "{metric} of {pair:?} up to {le}");
            }
        }
    }

    /// The counters that are no part of a histogram: exactly those that the exchanges raised, and no others.
    fn check_counters(&self, exchanges: &[Finished]) {
        let mut wanted: HashMap<Series<'_>, i64> = HashMap::new();
        for Finished { vm: _, record } in exchanges {
            let pair = [
                ("model_name", record.labels.model.as_str()),
                ("target_model_name", record.labels.target.as_str()),
            ];
            let mut add = |metric, labels: Vec<_>, value: u32| {
                *wanted.entry(Series { metric, labels }).or_default() += i64::from(value);
            };
            let with = |label, value| [&pair[..], &[(label, value)]].concat();
            add("inference_model_request_total", pair.to_vec(), 1);
            match record.outcome {
                Outcome::Failed(code) => {
                    add(
                        "inference_model_request_error_total",
                        with("error_code", code.as_str()),
                        1,
                    );
                }
                Outcome::Cancelled => add("inference_model_client_cancelled_total", pair.to_vec(), 1),
                Outcome::Success => {}
            }
            for (reason, count) in record.finish_reasons.iter() {
                add(
                    "inference_model_finish_reason_total",
                    with("finish_reason", reason.as_str()),
                    count,
                );
            }
            if let Some(source) = record.usage_source {
                add("inference_model_usage_total", with("source", source.as_str()), 1);
            }
            for (broken, source) in [
                (record.invalid_request, "request"),
                (record.invalid_response, "response"),
            ] {
                add(
                    "infertally_filter_parse_failures_total",
                    vec![("source", source)],
                    broken.into(),
                );
            }
            add(
                "infertally_filter_label_overflow_total",
                Vec::new(),
                record.label_overflow.into(),
            );
        }
        wanted.retain(|_, count| *count > 0);
        let counted =
            |series: &Series<'_>| series.metric.ends_with("_total") && !series.metric.contains("microseconds");
        let found = self
            .values
            .iter()
            .filter(|(series, value)| counted(series) && **value > 0);
        assert_eq!(
            found
                .map(|(series, value)| (series.clone(), *value))
                .collect::<HashMap<_, _>>(),
            wanted
        );
    }

    /// Every bucket holds what is in the one below, and the last one all.
    fn check_histograms(&self) {
        for (series, buckets) in &self.buckets {
            let ordered = buckets.is_sorted_by(|(lower, below), (upper, up_to)| lower < upper && below <= up_to);
            assert!(ordered, "{series:?}: {buckets:?}");
            let stem = series.metric.strip_suffix("_bucket").unwrap_or_default();
            let count = self.value(&format!("{stem}_count"), &series.labels);
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{series:?}");
        }
    }

    /// Panics if there are more model names than may be: beside `models` and the reserved ones `max_models` others.
    pub(crate) fn check_names(&self, models: &[String], max_models: usize) {
        let labels = self.values.keys().flat_map(|series| &series.labels);
        let others: HashSet<&str> = labels
            .filter(|(label, _)| label.ends_with("model_name"))
            .map(|(_, name)| *name)
            .filter(|name| !["other", "unknown"].contains(name) && !models.iter().any(|model| model == name))
            .collect();
        assert!(others.len() <= max_models, "{max_models} names may be: {others:?}");
        let pairs: HashSet<_> = self
            .values
            .keys()
            .filter_map(Series::pair)
            .filter(|(model, target)| model != target)
            .collect();
        assert!(pairs.len() <= models.len() + max_models, "{pairs:?}");
    }

    fn value(&self, metric: &str, labels: &[(&str, &str)]) -> i64 {
        let series = Series {
            metric,
            labels: labels.to_vec(),
        };
        self.values.get(&series).copied().unwrap_or(0)
    }
}

/// Panics unless the gauge says that exactly these models' requests are running, one for each time a model is named.
pub(crate) fn check_running<'a>(stats: &BTreeMap<&str, i64>, models: impl Iterator<Item = &'a str>) {
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

// === impl Series ===

impl<'a> Series<'a> {
    /// The values of its two model labels, if it has both.
    fn pair(&self) -> Option<(&'a str, &'a str)> {
        match self.labels.as_slice() {
            [("model_name", model), ("target_model_name", target), ..] => Some((model, target)),
            _ => None,
        }
    }

    fn parse(name: &'a str) -> Self {
        let mut parts: Vec<&str> = name.split(";.;").collect();
        let metric = parts.pop().unwrap_or_default();
        let labels: Vec<_> = parts.iter().filter_map(|part| part.split_once("=.=")).collect();
        let plain =
            |text: &str| !text.is_empty() && text.chars().all(|sign| !";=\"\\".contains(sign) && !sign.is_control());
        assert_eq!(labels.len(), parts.len(), "{name}");
        assert!(
            plain(metric) && labels.iter().all(|(label, value)| plain(label) && plain(value)),
            "{name}"
        );
        Self { metric, labels }
    }
}
