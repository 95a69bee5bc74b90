//! A finished exchange as plain data: the only input of the metrics and the access log.

use crate::exchange::Outcome;
use crate::labels::{ModelLabel, UsageSource};
use crate::names::PairId;
use crate::response::{FinishReasons, Usage};

/// The two model labels of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelPair {
    /// `model_name`: the model that the client requested.
    pub model: ModelLabel,
    /// `target_model_name`: the model that served the request.
    pub target: ModelLabel,
}

/// One exchange, with its labels resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Admitted names, or one of the reserved ones.
    pub labels: ModelPair,
    /// The number of this pair of labels in its VM.
    pub pair: PairId,
    /// Decides between the success, error and cancellation metrics.
    pub outcome: Outcome,
    /// From the request headers to the last response byte or the abort, in microseconds.
    pub duration_us: u64,
    /// Size of the request body as received from the client.
    pub request_bytes: u64,
    /// Size of the response body as it passed the filter.
    pub response_bytes: u64,
    /// Token counts; `None` where the server reported none.
    pub usage: Usage,
    /// Where `usage` comes from or why it is missing; `None` unless the status is 2xx.
    pub usage_source: Option<UsageSource>,
    /// Counts per finish reason, one for each finished choice.
    pub finish_reasons: FinishReasons,
    /// The response was an SSE stream.
    pub is_stream: bool,
    /// The request body is not valid for its API.
    pub invalid_request: bool,
    /// The body of a 2xx response is not valid for its API.
    pub invalid_response: bool,
    /// The status is 2xx, but a model name or the pair was over the limit and is recorded as `other`.
    pub label_overflow: bool,
}
