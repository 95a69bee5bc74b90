//! The table of the metrics. One row declares a metric's [`MetricId`], its description and its position.

use super::{Kind, Metric, Unit, bounds};
use crate::labels::Label;

/// Expands rows to [`MetricId`], whose discriminants are the positions of the rows, and to [`METRICS`].
macro_rules! metrics {
    ($($id:ident { name: $name:literal, kind: $kind:expr, labels: $labels:expr, help: $help:literal, })+) => {
        /// Identifies a row of [`METRICS`]; its discriminant is the row's index.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum MetricId {
            $(#[doc = $name] $id,)+
        }

        /// All metrics of the filter, in the order of the documents.
        pub static METRICS: [Metric; MetricId::COUNT] = [$(*MetricId::$id.metric()),+];

        impl MetricId {
            const COUNT: usize = [$(Self::$id),+].len();

            /// The row.
            pub const fn metric(self) -> &'static Metric {
                match self {
                    $(Self::$id => const {
                        &Metric { name: $name, kind: $kind, labels: $labels, help: $help }
                    },)+
                }
            }
        }
    };
}

const PAIR: &[Label] = &[Label::ModelName, Label::TargetModelName];

metrics! {
    RequestTotal {
        name: "inference_model_request_total",
        kind: Kind::Counter,
        labels: PAIR,
        help: "Requests, successful or not, counted when the exchange ends.",
    }
    RequestErrorTotal {
        name: "inference_model_request_error_total",
        kind: Kind::Counter,
        labels: &[Label::ModelName, Label::TargetModelName, Label::ErrorCode],
        help: "Failed requests by error code, counted once, when the exchange ends.",
    }
    RequestDuration {
        name: "inference_model_request_duration_seconds",
        kind: Kind::Histogram { bounds: bounds::REQUEST_DURATION, unit: Unit::Seconds },
        labels: PAIR,
        help: "Time from the request headers to the last response byte or the abort.",
    }
    NormalizedTimePerOutputToken {
        name: "normalized_time_per_output_token_seconds",
        kind: Kind::Histogram { bounds: bounds::NORMALIZED_TIME_PER_OUTPUT_TOKEN, unit: Unit::Seconds },
        labels: PAIR,
        help: "Normalized time per output token (NTPOT): duration of a successful request divided by its output tokens.",
    }
    RequestSizes {
        name: "inference_model_request_sizes",
        kind: Kind::Histogram { bounds: bounds::REQUEST_SIZES, unit: Unit::Bytes },
        labels: PAIR,
        help: "Request body size in bytes, as received from the client.",
    }
    ResponseSizes {
        name: "inference_model_response_sizes",
        kind: Kind::Histogram { bounds: bounds::RESPONSE_SIZES, unit: Unit::Bytes },
        labels: PAIR,
        help: "Response body size in bytes, including streams and Envoy's local replies.",
    }
    InputTokens {
        name: "inference_model_input_tokens",
        kind: Kind::Histogram { bounds: bounds::INPUT_TOKENS, unit: Unit::Tokens },
        labels: PAIR,
        help: "Prompt tokens per request, as reported by the model server.",
    }
    OutputTokens {
        name: "inference_model_output_tokens",
        kind: Kind::Histogram { bounds: bounds::OUTPUT_TOKENS, unit: Unit::Tokens },
        labels: PAIR,
        help: "Completion tokens per request, as reported by the model server or counted from its token IDs.",
    }
    RunningRequests {
        name: "inference_model_running_requests",
        kind: Kind::Gauge,
        labels: &[Label::ModelName],
        help: "Requests in flight.",
    }
    Info {
        name: "inference_extension_info",
        kind: Kind::Gauge,
        labels: &[Label::Commit, Label::BuildRef],
        help: "Source of the build; the value is always 1.",
    }
    CachedInputTokens {
        name: "inference_model_cached_input_tokens",
        kind: Kind::Histogram { bounds: bounds::INPUT_TOKENS, unit: Unit::Tokens },
        labels: PAIR,
        help: "Prompt tokens per request that the model server read from its prefix cache, where reported.",
    }
    ReasoningOutputTokens {
        name: "inference_model_reasoning_output_tokens",
        kind: Kind::Histogram { bounds: bounds::OUTPUT_TOKENS, unit: Unit::Tokens },
        labels: PAIR,
        help: "Completion tokens per request spent on reasoning, where reported.",
    }
    AudioSeconds {
        name: "inference_model_audio_seconds_total",
        kind: Kind::Counter,
        labels: PAIR,
        help: "Seconds of audio, where the model server reports a duration instead of tokens; rounded up for each request.",
    }
    FinishReason {
        name: "inference_model_finish_reason_total",
        kind: Kind::Counter,
        labels: &[Label::ModelName, Label::TargetModelName, Label::FinishReason],
        help: "Finished choices by finish reason.",
    }
    Usage {
        name: "inference_model_usage_total",
        kind: Kind::Counter,
        labels: &[Label::ModelName, Label::TargetModelName, Label::Source],
        help: "2xx exchanges by the source of their token counts, or the reason why they are missing.",
    }
    ClientCancelled {
        name: "inference_model_client_cancelled_total",
        kind: Kind::Counter,
        labels: PAIR,
        help: "Requests that the client cancelled before the response was complete; not counted as errors.",
    }
    FilterParseFailures {
        name: "infertally_filter_parse_failures_total",
        kind: Kind::Counter,
        labels: &[Label::Source],
        help: "Request bodies and bodies of 2xx responses that are not valid for their API.",
    }
    FilterLabelOverflow {
        name: "infertally_filter_label_overflow_total",
        kind: Kind::Counter,
        labels: &[],
        help: "2xx exchanges recorded under the model name other because maxModels was reached.",
    }
    FilterAdmittedModels {
        name: "infertally_filter_admitted_models",
        kind: Kind::Gauge,
        labels: &[],
        help: "Model names admitted from traffic as label values; maxModels is the limit.",
    }
    FilterConfigErrors {
        name: "infertally_filter_config_errors",
        kind: Kind::Gauge,
        labels: &[],
        help: "Errors in the filter's configuration; Envoy's log has a line for each.",
    }
    FilterMemory {
        name: "infertally_filter_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        help: "Largest linear memory of any worker's Wasm VM.",
    }
    FilterInfo {
        name: "infertally_filter_info",
        kind: Kind::Gauge,
        labels: &[Label::Version],
        help: "Version of the filter; the value is always 1.",
    }
}
