//! The guide's metrics summed over all models: for tests that know the numbers of each exchange, whatever its form.

use std::collections::BTreeMap;

use crate::capture::Response;
use crate::exchange::{Facts, Outcome};
use crate::metrics::{ERRORS, REQUESTS, RUNNING};
use crate::stats::{Stats, total};

/// What one exchange adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes of the request's body; `None` where a test cannot know them.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body; `None` where a test cannot know them.
    pub response_bytes: Option<u64>,
    /// Prompt tokens that the response reports.
    pub input_tokens: Option<u64>,
    /// Completion tokens that the response reports.
    pub output_tokens: Option<u64>,
}

/// What exchanges add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    requests: u64,
    errors: BTreeMap<String, u64>,
    request_bytes: Bytes,
    response_bytes: Bytes,
    input_tokens: Sum,
    output_tokens: Sum,
    durations: u64,
    normalized_times: u64,
    running: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
}

/// A sum of sizes; `None` once one of them is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    count: u64,
    sum: Option<u64>,
}

// === impl Measured ===

impl Measured {
    /// A request with a complete response and no tokens.
    pub fn response(request_body: &[u8], response: &Response) -> Self {
        Self {
            outcome: Outcome::Success,
            request_bytes: Some(request_body.len() as u64),
            response_bytes: Some(response.body.len() as u64),
            input_tokens: None,
            output_tokens: None,
        }
    }

    /// The same with the tokens that the simulator's headers say it reported.
    pub fn simulated(request_body: &[u8], response: &Response) -> Self {
        let tokens = |name: &str| response.header(name).and_then(|value| value.parse().ok());
        Self {
            input_tokens: tokens("x-sim-prompt-tokens"),
            output_tokens: tokens("x-sim-completion-tokens"),
            ..Self::response(request_body, response)
        }
    }

    /// A request whose client disconnected after this many bytes of its body and of the response's.
    pub fn cancelled(request_bytes: usize, response_bytes: usize) -> Self {
        Self {
            outcome: Outcome::Cancelled,
            request_bytes: Some(request_bytes as u64),
            response_bytes: Some(response_bytes as u64),
            input_tokens: None,
            output_tokens: None,
        }
    }

    /// The same, but it failed.
    pub fn failed(self, code: &'static str) -> Self {
        Self {
            outcome: Outcome::Failed(code),
            ..self
        }
    }

    /// The same with these tokens.
    pub fn tokens(self, input: u64, output: u64) -> Self {
        Self {
            input_tokens: Some(input),
            output_tokens: Some(output),
            ..self
        }
    }
}

impl From<&Facts> for Measured {
    fn from(facts: &Facts) -> Self {
        Self {
            outcome: facts.outcome,
            request_bytes: Some(facts.request_bytes),
            response_bytes: Some(facts.response_bytes),
            input_tokens: facts.usage.input,
            output_tokens: facts.usage.output,
        }
    }
}

// === impl Totals ===

impl Totals {
    /// Adds an exchange.
    pub fn add(&mut self, measured: Measured) {
        let Measured {
            outcome,
            request_bytes,
            response_bytes,
            input_tokens,
            output_tokens,
        } = measured;
        self.requests += 1;
        self.durations += 1;
        if let Outcome::Failed(code) = outcome {
            *self.errors.entry(code.to_owned()).or_default() += 1;
        }
        self.request_bytes.add(request_bytes);
        self.response_bytes.add(response_bytes);
        self.input_tokens.add(input_tokens);
        self.output_tokens.add(output_tokens);
        if outcome == Outcome::Success && output_tokens.is_some_and(|tokens| tokens > 0) {
            self.normalized_times += 1;
        }
    }

    /// Compares a scrape with all exchanges: every number must be equal, and nothing may be running.
    ///
    /// # Errors
    /// Both.
    pub fn check(&self, stats: &Stats) -> Result<(), String> {
        let mut seen = Self::of(stats);
        seen.request_bytes.sum = seen.request_bytes.sum.filter(|_| self.request_bytes.sum.is_some());
        seen.response_bytes.sum = seen.response_bytes.sum.filter(|_| self.response_bytes.sum.is_some());
        if seen == *self {
            Ok(())
        } else {
            Err(format!("Envoy shows\n  {seen:?}\nand must show\n  {self:?}"))
        }
    }

    fn of(stats: &Stats) -> Self {
        let sum = |name: &str| Sum {
            count: total(stats, &format!("{name}_count")),
            sum: total(stats, &format!("{name}_sum")),
        };
        let bytes = |name: &str| {
            let Sum { count, sum } = sum(name);
            Bytes { count, sum: Some(sum) }
        };
        let mut errors = BTreeMap::new();
        for (series, value) in stats.iter().filter(|(series, _)| series.name == ERRORS) {
            *errors.entry(series.label("error_code").to_owned()).or_default() += value;
        }
        Self {
            requests: total(stats, REQUESTS),
            errors,
            request_bytes: bytes("inference_model_request_sizes"),
            response_bytes: bytes("inference_model_response_sizes"),
            input_tokens: sum("inference_model_input_tokens"),
            output_tokens: sum("inference_model_output_tokens"),
            durations: total(stats, "inference_model_request_duration_seconds_count"),
            normalized_times: total(stats, "normalized_time_per_output_token_seconds_count"),
            running: total(stats, RUNNING),
        }
    }
}

/// All requests in a scrape.
pub fn requests(stats: &Stats) -> u64 {
    total(stats, REQUESTS)
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, value: Option<u64>) {
        self.count += u64::from(value.is_some());
        self.sum += value.unwrap_or_default();
    }
}

// === impl Bytes ===

impl Default for Bytes {
    fn default() -> Self {
        Self { count: 0, sum: Some(0) }
    }
}

impl Bytes {
    fn add(&mut self, value: Option<u64>) {
        self.count += 1;
        self.sum = self.sum.zip(value).map(|(sum, value)| sum + value);
    }
}
