//! The facts of a complete exchange: outcome, error code, and the source of its token counts.

use std::collections::BTreeMap;

use crate::Undecidable;
use crate::api::Api;
use crate::capture::Response;
use crate::request::RequestFacts;
use crate::response::{BodyState, DocumentState, ResponseFacts, Usage};
use crate::words::error_code;

/// How far a response was received, as the test knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// To its end.
    Complete,
    /// Until the server broke the connection.
    UpstreamReset,
    /// Until the client disconnected.
    ClientDisconnect,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a complete response that reports no error.
    Success,
    /// With this error code.
    Failed(&'static str),
    /// By the client, before the response was complete.
    Cancelled,
}

/// All that an exchange adds to the metrics, but for its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The model that the request names.
    pub requested_model: Option<String>,
    /// The model that a 2xx response names.
    pub response_model: Option<String>,
    /// The status is 2xx.
    pub is_success: bool,
    /// The response is an event stream.
    pub is_stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took; `None` where only the filter knows.
    pub duration_us: Option<u64>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body that passed.
    pub response_bytes: u64,
    /// Tokens, those that are counted by their ids included.
    pub usage: Usage,
    /// The source of the tokens, or why they are missing; `None` without a 2xx status.
    pub usage_source: Option<&'static str>,
    /// How many choices ended for each reason.
    pub finish_reasons: BTreeMap<&'static str, u64>,
    /// The request's body is not what its API takes.
    pub invalid_request: bool,
    /// A 2xx response's body is not what its API returns.
    pub invalid_response: bool,
}

/// Reads a measured exchange: a `POST` with a complete request, and as much of the response as passed.
///
/// # Errors
/// If the path is not measured, or a body cannot be judged.
pub fn read(
    path: &str,
    request_body: &[u8],
    response: &Response,
    completion: Completion,
) -> Result<Facts, Undecidable> {
    let api = Api::of("POST", path).ok_or_else(|| Undecidable(format!("{path} is not measured")))?;
    let request = RequestFacts::read(api, request_body)?;
    let is_success = (200..300).contains(&response.status);
    // An error's body says no more than its status.
    let facts = if is_success {
        let [content_type, content_encoding] = ["content-type", "content-encoding"].map(|name| response.header(name));
        ResponseFacts::read(api, content_type, content_encoding, &response.body)?
    } else {
        ResponseFacts::default()
    };
    let outcome = outcome(response, &facts, completion);
    Ok(Facts {
        usage_source: is_success.then(|| usage_source(api, &request, &facts, outcome)),
        invalid_response: is_invalid(response, &facts, completion),
        requested_model: request.model,
        response_model: facts.model,
        is_success,
        is_stream: matches!(facts.body, BodyState::Stream(_)),
        outcome,
        duration_us: None,
        request_bytes: request_body.len() as u64,
        response_bytes: response.body.len() as u64,
        usage: Usage {
            output: facts.usage.output.or(facts.counted_output),
            ..facts.usage
        },
        finish_reasons: facts.finish_reasons,
        invalid_request: request.is_malformed,
    })
}

/// The earliest failure decides.
fn outcome(response: &Response, facts: &ResponseFacts, completion: Completion) -> Outcome {
    if let Some(code) = error_code(response.status) {
        return Outcome::Failed(code);
    }
    match (facts.body, completion) {
        (BodyState::Stream(stream), _) if stream.error => Outcome::Failed("StreamError"),
        // Clients close the connection once they have the end marker.
        (BodyState::Stream(stream), _) if stream.ended => Outcome::Success,
        (BodyState::Document(DocumentState::Failed), _) => Outcome::Failed("ModelServerError"),
        // The client has everything that it waited for.
        (BodyState::Document(DocumentState::Complete), Completion::ClientDisconnect) => Outcome::Success,
        (BodyState::Stream(stream), Completion::ClientDisconnect)
            if stream.finished && facts.usage.input.or(facts.usage.output).is_some() =>
        {
            Outcome::Success
        }
        (_, Completion::ClientDisconnect) => Outcome::Cancelled,
        (_, Completion::UpstreamReset) => Outcome::Failed("UpstreamReset"),
        (BodyState::Stream(_), Completion::Complete) if facts.finish_reasons.is_empty() => Outcome::Failed("Truncated"),
        // A body without a length ends with the connection, so that a reset looks like its end.
        (BodyState::Document(DocumentState::Incomplete), Completion::Complete) if !response.body.is_empty() => {
            Outcome::Failed("UpstreamReset")
        }
        (_, Completion::Complete) => Outcome::Success,
    }
}

/// A cause that the user can fix comes before one that the user cannot.
fn usage_source(api: Api, request: &RequestFacts, facts: &ResponseFacts, outcome: Outcome) -> &'static str {
    let is_option = api.has_usage_option() && matches!(facts.body, BodyState::Stream(_));
    match outcome {
        _ if facts.usage.input.or(facts.usage.output).is_some() => "reported",
        _ if facts.usage.audio_seconds.is_some() => "reported_duration",
        _ if facts.counted_output.is_some() => "counted",
        _ if facts.body == BodyState::Encoded => "missing_encoded",
        _ if is_option && !request.includes_usage => "missing_not_requested",
        Outcome::Cancelled => "missing_aborted",
        Outcome::Failed(_) => "missing_truncated",
        Outcome::Success => "missing_unparsed",
    }
}

fn is_invalid(response: &Response, facts: &ResponseFacts, completion: Completion) -> bool {
    match facts.body {
        BodyState::Document(DocumentState::Malformed) => true,
        BodyState::Document(DocumentState::Incomplete) => {
            completion == Completion::Complete && !response.body.is_empty()
        }
        BodyState::Stream(stream) => stream.malformed,
        BodyState::Document(DocumentState::Complete | DocumentState::Failed)
        | BodyState::Encoded
        | BodyState::Unreadable => false,
    }
}
