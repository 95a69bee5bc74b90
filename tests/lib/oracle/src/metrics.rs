//! The contract's metrics of exchanges: their names, and the bounds of the histograms.
//!
//! The filter's table is not used, so a wrong row there is found here.

use crate::exchange::{Facts, Outcome};

pub(crate) const REQUESTS: &str = "inference_model_request_total";
pub(crate) const ERRORS: &str = "inference_model_request_error_total";
pub(crate) const CANCELLED: &str = "inference_model_client_cancelled_total";
pub(crate) const FINISH_REASONS: &str = "inference_model_finish_reason_total";
pub(crate) const AUDIO_SECONDS: &str = "inference_model_audio_seconds_total";
pub(crate) const USAGE: &str = "inference_model_usage_total";
pub(crate) const RUNNING: &str = "inference_model_running_requests";
pub(crate) const PARSE_FAILURES: &str = "infertally_filter_parse_failures_total";
pub(crate) const LABEL_OVERFLOW: &str = "infertally_filter_label_overflow_total";
pub(crate) const CONFIG_ERRORS: &str = "infertally_filter_config_errors";

const INPUT_BOUNDS: &str =
    "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32778 65536 131072 262144 524288 1.048576e+06";
const OUTPUT_BOUNDS: &str = "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536";
const MICROSECONDS_PER_SECOND: f64 = 1e6;

/// A histogram's row.
#[derive(Debug)]
pub struct Histogram {
    /// Its name.
    pub name: &'static str,
    /// The values of `le` but `+Inf`, ascending.
    bounds: &'static str,
    /// What an exchange adds to it.
    pub(crate) observed: fn(&Facts) -> Observed,
}

/// What an exchange adds to a histogram: bytes, tokens or microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// Nothing.
    Nothing,
    /// One observation of this value.
    Value(u64),
    /// One observation of a time that only the filter knows.
    UnknownTime,
}

/// All of them.
pub static HISTOGRAMS: [Histogram; 8] = [
    Histogram {
        name: "inference_model_request_duration_seconds",
        bounds: "0.005 0.025 0.05 0.1 0.2 0.4 0.6 0.8 1 1.25 1.5 2 3 4 5 6 8 10 15 20 30 45 60 120 180 240 300 360 480 600 \
                 900 1200 1800 2700 3600",
        observed: |facts| facts.duration_us.map_or(Observed::UnknownTime, Observed::Value),
    },
    Histogram {
        name: "normalized_time_per_output_token_seconds",
        bounds: "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10",
        observed: |facts| match (facts.outcome, facts.usage.output, facts.duration_us) {
            (Outcome::Success, Some(1..), None) => Observed::UnknownTime,
            (Outcome::Success, Some(tokens @ 1..), Some(duration)) => {
                Observed::Value((duration as f64 / tokens as f64).round() as u64)
            }
            _ => Observed::Nothing,
        },
    },
    Histogram {
        name: "inference_model_request_sizes",
        bounds: "64 128 256 512 1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1.048576e+06 2.097152e+06 \
                 4.194304e+06 8.388608e+06 1.6777216e+07 3.3554432e+07 6.7108864e+07 1.34217728e+08 2.68435456e+08 \
                 5.36870912e+08 1.073741824e+09",
        observed: |facts| Observed::Value(facts.request_bytes),
    },
    Histogram {
        name: "inference_model_response_sizes",
        bounds: "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32778 65536 131072 262144 524288 1.048576e+06 \
                 4.194304e+06 1.6777216e+07",
        observed: |facts| Observed::Value(facts.response_bytes),
    },
    Histogram {
        name: "inference_model_input_tokens",
        bounds: INPUT_BOUNDS,
        observed: |facts| facts.usage.input.into(),
    },
    Histogram {
        name: "inference_model_output_tokens",
        bounds: OUTPUT_BOUNDS,
        observed: |facts| facts.usage.output.into(),
    },
    Histogram {
        name: "inference_model_cached_input_tokens",
        bounds: INPUT_BOUNDS,
        observed: |facts| facts.usage.cached_input.into(),
    },
    Histogram {
        name: "inference_model_reasoning_output_tokens",
        bounds: OUTPUT_BOUNDS,
        observed: |facts| facts.usage.reasoning_output.into(),
    },
];

// === impl Histogram ===

impl Histogram {
    /// The values of `le`, with the inclusive bound of each in the unit that is observed.
    pub fn bounds(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
        let scale = if self.is_time() { MICROSECONDS_PER_SECOND } else { 1.0 };
        let bound = move |le: &'static str| (le, (le.parse().unwrap_or(f64::NAN) * scale).round());
        self.bounds
            .split_whitespace()
            .map(bound)
            .chain([("+Inf", f64::INFINITY)])
    }

    /// Whether it observes seconds.
    pub fn is_time(&self) -> bool {
        self.name.ends_with("_seconds")
    }

    /// The counter of exact microseconds beside a histogram of seconds.
    pub fn microseconds(&self) -> Option<String> {
        let stem = self.name.strip_suffix("_seconds")?;
        Some(format!("{stem}_microseconds_total"))
    }
}

// === impl Observed ===

impl From<Option<u64>> for Observed {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::Nothing, Self::Value)
    }
}
