//! What happened in one exchange, as plain data: all that the metrics know of it.

use crate::labels::{ErrorCode, ModelLabel};

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
    ClientLeft,
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
    /// Prompt tokens, when reported.
    pub input_tokens: Option<u64>,
    /// Completion tokens, when reported.
    pub output_tokens: Option<u64>,
}
