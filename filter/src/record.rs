//! What happened in one exchange, as plain data: all that the metrics and the access log know of it.

use crate::labels::{ErrorCode, ModelLabel, UsageSource};
use crate::response::{FinishReasons, Usage};

/// The two model names of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelPair {
    /// `model_name`: what the client asked for.
    pub model: ModelLabel,
    /// `target_model_name`: what served it.
    pub target: ModelLabel,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was good and whole.
    Success,
    /// It failed.
    Failed(ErrorCode),
    /// The client went away before the end. Not an error.
    Cancelled,
}

/// One exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its model names.
    pub labels: ModelPair,
    /// How it ended.
    pub outcome: Outcome,
    /// Request headers to the last byte of the answer or the abort, microseconds.
    pub duration_us: u64,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// Tokens, as far as they are known.
    pub usage: Usage,
    /// How those became known, or why not; `None` without a 2xx answer.
    pub usage_source: Option<UsageSource>,
    /// Why the choices ended.
    pub finish_reasons: FinishReasons,
    /// The answer was an event stream.
    pub is_stream: bool,
    /// The request's body was not what its API takes.
    pub invalid_request: bool,
    /// A 2xx answer's body was not what its API gives.
    pub invalid_response: bool,
    /// A name had a good answer and found no place among the label values.
    pub label_overflow: bool,
}
