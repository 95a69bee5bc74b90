//! The table of the filter's metrics: the one place where a metric is described. And what a [`Record`] says to each.
//!
//! `envoy.yaml`, the docs and the syncer's TYPE, HELP and bounds are made from this table or held against it. To add a
//! metric is to add a row and the line in [`observe`] that records it.

mod bounds;

pub use bounds::Bound;

use crate::labels::Label;
use crate::record::{Outcome, Record};
use crate::response::Usage;

/// Prometheus' kind of a metric, with what a histogram needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts of observations up to each bound.
    Histogram {
        /// Upper bounds, ascending, inclusive, without `+Inf`.
        bounds: &'static [Bound],
        /// What is observed.
        unit: Unit,
    },
}

/// What a histogram observes, and in which whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Tokens.
    Tokens,
    /// Seconds by name, whole microseconds as observed. An Envoy counter holds a whole number, so `_sum` holds whole
    /// seconds and a counter beside the histogram the exact microseconds.
    Seconds,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The documented name.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Its labels in the order in which they are written; a histogram's buckets also have `le`.
    pub labels: &'static [Label],
    /// What it means, for a person.
    pub help: &'static str,
}

/// A row's name in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum MetricId {
    /// Requests.
    RequestTotal,
    /// Failed requests.
    RequestErrorTotal,
    /// Request headers to last byte.
    RequestDuration,
    /// Duration over output tokens.
    NormalizedTimePerOutputToken,
    /// Request body bytes.
    RequestSizes,
    /// Answer body bytes.
    ResponseSizes,
    /// Prompt tokens.
    InputTokens,
    /// Completion tokens.
    OutputTokens,
    /// Requests under way.
    RunningRequests,
    /// The build.
    Info,
    /// Prompt tokens from a cache.
    CachedInputTokens,
    /// Completion tokens spent on reasoning.
    ReasoningOutputTokens,
    /// ExchangeSummary choices by reason.
    FinishReason,
    /// 2xx exchanges by what is known of their tokens.
    Usage,
    /// Exchanges that the client gave up.
    ClientCancelled,
    /// Bodies that could not be read.
    FilterParseFailures,
    /// Exchanges whose model found no place.
    FilterLabelOverflow,
    /// Model names that were admitted.
    FilterAdmittedModels,
    /// Mistakes in the configuration.
    FilterConfigErrors,
    /// Memory of a worker's VM.
    FilterMemory,
    /// The filter's version.
    FilterInfo,
}

/// Whose body could not be read.
const SOURCES: [&str; 2] = ["request", "response"];
const PAIR: &[Label] = &[Label::ModelName, Label::TargetModelName];

/// The table; [`MetricId`] counts its rows.
pub static METRICS: [Metric; 21] = [
    Metric {
        name: "inference_model_request_total",
        kind: Kind::Counter,
        labels: PAIR,
        help: "Requests, whatever became of them; counted at the end of the exchange.",
    },
    Metric {
        name: "inference_model_request_error_total",
        kind: Kind::Counter,
        labels: &[Label::ModelName, Label::TargetModelName, Label::ErrorCode],
        help: "Failed requests by cause; counted at the end of the exchange, once.",
    },
    Metric {
        name: "inference_model_request_duration_seconds",
        kind: Kind::Histogram {
            bounds: bounds::REQUEST_DURATION,
            unit: Unit::Seconds,
        },
        labels: PAIR,
        help: "Time from the request's headers to the last byte of the answer or the abort.",
    },
    Metric {
        name: "normalized_time_per_output_token_seconds",
        kind: Kind::Histogram {
            bounds: bounds::NORMALIZED_TIME_PER_OUTPUT_TOKEN,
            unit: Unit::Seconds,
        },
        labels: PAIR,
        help: "Duration of a successful request divided by its output tokens.",
    },
    Metric {
        name: "inference_model_request_sizes",
        kind: Kind::Histogram {
            bounds: bounds::REQUEST_SIZES,
            unit: Unit::Bytes,
        },
        labels: PAIR,
        help: "Bytes of the request's body as the client sent it.",
    },
    Metric {
        name: "inference_model_response_sizes",
        kind: Kind::Histogram {
            bounds: bounds::RESPONSE_SIZES,
            unit: Unit::Bytes,
        },
        labels: PAIR,
        help: "Bytes of the answer's body, streams and Envoy's own answers included.",
    },
    Metric {
        name: "inference_model_input_tokens",
        kind: Kind::Histogram {
            bounds: bounds::INPUT_TOKENS,
            unit: Unit::Tokens,
        },
        labels: PAIR,
        help: "Prompt tokens as the server reported them.",
    },
    Metric {
        name: "inference_model_output_tokens",
        kind: Kind::Histogram {
            bounds: bounds::OUTPUT_TOKENS,
            unit: Unit::Tokens,
        },
        labels: PAIR,
        help: "Completion tokens as the server reported them.",
    },
    Metric {
        name: "inference_model_running_requests",
        kind: Kind::Gauge,
        labels: &[Label::ModelName],
        help: "Requests under way.",
    },
    Metric {
        name: "inference_extension_info",
        kind: Kind::Gauge,
        labels: &[Label::Commit, Label::BuildRef],
        help: "Always 1; the labels say what was built.",
    },
    Metric {
        name: "inference_model_cached_input_tokens",
        kind: Kind::Histogram {
            bounds: bounds::INPUT_TOKENS,
            unit: Unit::Tokens,
        },
        labels: PAIR,
        help: "Prompt tokens that the server took from its cache, where it reports them.",
    },
    Metric {
        name: "inference_model_reasoning_output_tokens",
        kind: Kind::Histogram {
            bounds: bounds::OUTPUT_TOKENS,
            unit: Unit::Tokens,
        },
        labels: PAIR,
        help: "Completion tokens that went into reasoning, where the server reports them.",
    },
    Metric {
        name: "inference_model_finish_reason_total",
        kind: Kind::Counter,
        labels: &[Label::ModelName, Label::TargetModelName, Label::FinishReason],
        help: "Choices by why they ended.",
    },
    Metric {
        name: "inference_model_usage_total",
        kind: Kind::Counter,
        labels: &[Label::ModelName, Label::TargetModelName, Label::Source],
        help: "2xx exchanges by how their tokens became known, or why not.",
    },
    Metric {
        name: "inference_model_client_cancelled_total",
        kind: Kind::Counter,
        labels: PAIR,
        help: "Requests that the client gave up before their end; not errors.",
    },
    Metric {
        name: "infertally_filter_parse_failures_total",
        kind: Kind::Counter,
        labels: &[Label::Source],
        help: "Bodies that are not what their API says, of requests and of 2xx answers.",
    },
    Metric {
        name: "infertally_filter_label_overflow_total",
        kind: Kind::Counter,
        labels: &[],
        help: "Good exchanges counted under other because maxModels was reached.",
    },
    Metric {
        name: "infertally_filter_admitted_models",
        kind: Kind::Gauge,
        labels: &[],
        help: "Model names from traffic that are label values, of maxModels.",
    },
    Metric {
        name: "infertally_filter_config_errors",
        kind: Kind::Gauge,
        labels: &[],
        help: "Mistakes in the filter's configuration; Envoy's log names each.",
    },
    Metric {
        name: "infertally_filter_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        help: "Largest memory that a worker's VM has taken.",
    },
    Metric {
        name: "infertally_filter_info",
        kind: Kind::Gauge,
        labels: &[Label::Version],
        help: "Always 1; the label is the filter's version.",
    },
];

/// One thing to add to a metric: of the exchange's pair of model names where the metric has those labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which metric.
    pub metric: MetricId,
    /// What is added to a counter, or observed in the unit of a histogram.
    pub value: u64,
    /// The value of the label that the metric has beside the pair, if it has one.
    pub label: Option<(Label, &'static str)>,
}

// === impl Metric ===

impl MetricId {
    /// Its row.
    pub fn metric(self) -> &'static Metric {
        // The table's length and the enum's are held together by a test.
        METRICS.get(self as usize).unwrap_or(&METRICS[0])
    }
}

impl Metric {
    /// The counter of microseconds that stands beside a histogram of seconds.
    pub fn microseconds_name(&self) -> Option<String> {
        match self.kind {
            Kind::Histogram {
                unit: Unit::Seconds, ..
            } => self
                .name
                .strip_suffix("_seconds")
                .map(|stem| format!("{stem}_microseconds_total")),
            _ => None,
        }
    }
}

/// Hands over what a record adds to the metrics. What was not reported is not observed.
pub fn observe(record: &Record, mut add: impl FnMut(Observation)) {
    let Record {
        labels: _,
        outcome,
        duration_us,
        request_bytes,
        response_bytes,
        usage,
        usage_source,
        finish_reasons,
        is_stream: _,
        invalid_request,
        invalid_response,
        label_overflow,
    } = record;
    let Usage {
        input,
        output,
        cached_input,
        reasoning_output,
    } = *usage;
    let mut labelled = |metric, value, label, name| {
        add(Observation {
            metric,
            value,
            label: Some((label, name)),
        })
    };
    if let Outcome::Failed(code) = outcome {
        labelled(MetricId::RequestErrorTotal, 1, Label::ErrorCode, code.as_str());
    }
    for (reason, count) in finish_reasons.iter() {
        labelled(
            MetricId::FinishReason,
            u64::from(count),
            Label::FinishReason,
            reason.as_str(),
        );
    }
    if let Some(source) = usage_source {
        labelled(MetricId::Usage, 1, Label::Source, source.as_str());
    }
    for (broken, source) in [(*invalid_request, SOURCES[0]), (*invalid_response, SOURCES[1])] {
        if broken {
            labelled(MetricId::FilterParseFailures, 1, Label::Source, source);
        }
    }

    let mut observe = |metric, value: Option<u64>| {
        if let Some(value) = value {
            add(Observation {
                metric,
                value,
                label: None,
            });
        }
    };
    let per_token = match (outcome, output) {
        (Outcome::Success, Some(tokens @ 1..)) => Some(rounded_ratio(*duration_us, tokens)),
        (Outcome::Success | Outcome::Failed(_) | Outcome::Cancelled, _) => None,
    };
    observe(MetricId::RequestTotal, Some(1));
    observe(MetricId::RequestDuration, Some(*duration_us));
    observe(MetricId::NormalizedTimePerOutputToken, per_token);
    observe(MetricId::RequestSizes, Some(*request_bytes));
    observe(MetricId::ResponseSizes, Some(*response_bytes));
    observe(MetricId::InputTokens, input);
    observe(MetricId::OutputTokens, output);
    observe(MetricId::CachedInputTokens, cached_input);
    observe(MetricId::ReasoningOutputTokens, reasoning_output);
    observe(MetricId::ClientCancelled, (*outcome == Outcome::Cancelled).then_some(1));
    observe(MetricId::FilterLabelOverflow, label_overflow.then_some(1));
}

/// The counters that are there from the start, at 0, so that the first failure is seen as a rise.
pub fn initial() -> impl Iterator<Item = Observation> {
    let failures = SOURCES.map(|source| (MetricId::FilterParseFailures, Some((Label::Source, source))));
    let counters = failures.into_iter().chain([(MetricId::FilterLabelOverflow, None)]);
    counters.map(|(metric, label)| Observation {
        metric,
        value: 0,
        label,
    })
}

/// To the nearest whole number.
fn rounded_ratio(dividend: u64, divisor: u64) -> u64 {
    dividend.saturating_add(divisor / 2) / divisor.max(1)
}

#[cfg(test)]
mod tests;
