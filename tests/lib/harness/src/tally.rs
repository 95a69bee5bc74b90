//! The guide's metrics added up over all models: what must come out whatever the exchange was, and however it ended.
//! Held exactly; series beyond these are other tests' matter.

use std::collections::BTreeMap;

use crate::Result;
use crate::capture::Answer;
use crate::envoy::Envoy;
use crate::stats::Stats;

/// One exchange as a test knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its error code, if it failed.
    pub error: Option<&'static str>,
    /// The client went away before the end.
    pub left: bool,
    /// Bytes of the request's body; `None` where a test can't know them.
    pub request_bytes: Option<u64>,
    /// Bytes of the answer's body.
    pub answer_bytes: Option<u64>,
    /// Prompt tokens that the answer reported.
    pub input: Option<u64>,
    /// Completion tokens that the answer reported.
    pub output: Option<u64>,
}

/// All exchanges so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    requests: u64,
    errors: BTreeMap<String, u64>,
    request_bytes: Bytes,
    answer_bytes: Bytes,
    input: Sum,
    output: Sum,
    durations: u64,
    normalized_times: u64,
    running: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
}

/// A sum of sizes, until one of them is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    count: u64,
    sum: Option<u64>,
}

// === impl Exchange ===

impl Exchange {
    /// A request of so many bytes that was answered.
    pub fn answered(request_body: &[u8], answer: &Answer) -> Self {
        Self {
            error: None,
            left: false,
            request_bytes: Some(request_body.len() as u64),
            answer_bytes: Some(answer.body.len() as u64),
            input: None,
            output: None,
        }
    }

    /// The same, with the tokens that the simulator says that it has reported.
    pub fn told(request_body: &[u8], answer: &Answer) -> Self {
        let tokens = |name: &str| answer.header(name).and_then(|value| value.parse().ok());
        Self {
            input: tokens("x-sim-prompt-tokens"),
            output: tokens("x-sim-completion-tokens"),
            ..Self::answered(request_body, answer)
        }
    }

    /// A request whose client went away when so much of it, and of its answer, had come.
    pub fn left(request_bytes: usize, answer_bytes: usize) -> Self {
        Self {
            error: None,
            left: true,
            request_bytes: Some(request_bytes as u64),
            answer_bytes: Some(answer_bytes as u64),
            input: None,
            output: None,
        }
    }

    /// It failed.
    pub fn failed(self, code: &'static str) -> Self {
        Self {
            error: Some(code),
            ..self
        }
    }

    /// With these tokens.
    pub fn tokens(self, input: u64, output: u64) -> Self {
        Self {
            input: Some(input),
            output: Some(output),
            ..self
        }
    }
}

// === impl Tally ===

impl Tally {
    /// One more exchange.
    pub fn add(&mut self, exchange: Exchange) {
        let Exchange {
            error,
            left,
            request_bytes,
            answer_bytes,
            input,
            output,
        } = exchange;
        self.requests += 1;
        self.durations += 1;
        if let Some(code) = error {
            *self.errors.entry(code.to_owned()).or_default() += 1;
        }
        self.request_bytes.add(request_bytes);
        self.answer_bytes.add(answer_bytes);
        self.input.add(input);
        self.output.add(output);
        if error.is_none() && !left && output.is_some_and(|tokens| tokens > 0) {
            self.normalized_times += 1;
        }
    }

    /// Looks whether Envoy says the same: every number equal, and still so at a second look.
    ///
    /// # Errors
    /// Says what differs.
    pub async fn hold(&self, envoy: &Envoy) -> Result<()> {
        envoy.scrape_until(|stats| self.check(stats)).await?;
        Ok(self.check(&envoy.scrape().await?)?)
    }

    fn check(&self, stats: &Stats) -> std::result::Result<(), String> {
        let mut seen = Self::of(stats);
        // What no test can know is taken as it is.
        seen.request_bytes.sum = seen.request_bytes.sum.filter(|_| self.request_bytes.sum.is_some());
        seen.answer_bytes.sum = seen.answer_bytes.sum.filter(|_| self.answer_bytes.sum.is_some());
        if seen == *self {
            Ok(())
        } else {
            Err(format!("Envoy tells\n  {seen:?}\nand must tell\n  {self:?}"))
        }
    }

    fn of(stats: &Stats) -> Self {
        let total = |name: &str| {
            let values = stats.iter().filter(|(series, _)| series.name == name);
            values.map(|(_, value)| value).sum()
        };
        let sum = |name: &str| Sum {
            count: total(&format!("{name}_count")),
            sum: total(&format!("{name}_sum")),
        };
        let bytes = |name: &str| {
            let Sum { count, sum } = sum(name);
            Bytes { count, sum: Some(sum) }
        };
        let mut errors = BTreeMap::new();
        for (series, value) in stats {
            if series.name == "inference_model_request_error_total" {
                *errors.entry(series.label("error_code").to_owned()).or_default() += value;
            }
        }
        Self {
            requests: total("inference_model_request_total"),
            errors,
            request_bytes: bytes("inference_model_request_sizes"),
            answer_bytes: bytes("inference_model_response_sizes"),
            input: sum("inference_model_input_tokens"),
            output: sum("inference_model_output_tokens"),
            durations: total("inference_model_request_duration_seconds_count"),
            normalized_times: total("normalized_time_per_output_token_seconds_count"),
            running: total("inference_model_running_requests"),
        }
    }
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
