//! The table of the filter's metrics: the one place where a metric is described. And what a [`Record`] says to each.
//!
//! `envoy.yaml`, the docs and the syncer's TYPE, HELP and bounds are made from this table or held against it. To add a
//! metric is to add a row and the line in [`observe`] that records it.

mod bounds;

pub use bounds::Bound;

use crate::labels::{ErrorCode, Label};
use crate::record::{Outcome, Record};

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
}

const PAIR: &[Label] = &[Label::ModelName, Label::TargetModelName];

/// The table; [`MetricId`] counts its rows.
pub static METRICS: [Metric; 10] = [
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
];

/// One thing to add to a metric of the exchange's pair of model names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which metric.
    pub metric: MetricId,
    /// What is added to a counter, or observed in the unit of a histogram.
    pub value: u64,
    /// The label that `inference_model_request_error_total` has beside the pair.
    pub code: Option<ErrorCode>,
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

/// Hands over what a record adds to the metrics of its pair. What was not reported is not observed.
pub fn observe(record: &Record, mut add: impl FnMut(Observation)) {
    let Record {
        labels: _,
        outcome,
        duration_us,
        request_bytes,
        response_bytes,
        input_tokens,
        output_tokens,
    } = record;
    let mut observe = |metric, value| {
        add(Observation {
            metric,
            value,
            code: None,
        })
    };

    observe(MetricId::RequestTotal, 1);
    observe(MetricId::RequestDuration, *duration_us);
    observe(MetricId::RequestSizes, *request_bytes);
    observe(MetricId::ResponseSizes, *response_bytes);
    if let Some(tokens) = *input_tokens {
        observe(MetricId::InputTokens, tokens);
    }
    if let Some(tokens) = *output_tokens {
        observe(MetricId::OutputTokens, tokens);
    }
    match (outcome, output_tokens) {
        (Outcome::Success, Some(tokens @ 1..)) => {
            observe(
                MetricId::NormalizedTimePerOutputToken,
                rounded_ratio(*duration_us, *tokens),
            );
        }
        (Outcome::Success | Outcome::ClientLeft, _) => {}
        (Outcome::Failed(code), _) => {
            add(Observation {
                metric: MetricId::RequestErrorTotal,
                value: 1,
                code: Some(*code),
            });
        }
    }
}

/// To the nearest whole number.
fn rounded_ratio(dividend: u64, divisor: u64) -> u64 {
    dividend.saturating_add(divisor / 2) / divisor.max(1)
}

#[cfg(test)]
mod tests;
