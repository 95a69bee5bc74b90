//! An independent reading of an exchange: `serde_json` on whole bodies, written from the contract and not from the
//! filter, slow and plain.

use serde_json::Value;

use crate::capture::Answer;

/// How an exchange ended, as the test knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The answer was passed on to its end.
    Whole,
    /// The server broke it off.
    ServerCut,
    /// The client went away first.
    ClientLeft,
}

/// What an exchange says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The model that the request asks for.
    pub asked: Option<String>,
    /// The model that a good answer names.
    pub answered: Option<String>,
    /// The status was 2xx.
    pub good: bool,
    /// Prompt tokens.
    pub input: Option<u64>,
    /// Completion tokens.
    pub output: Option<u64>,
    /// The error code of a failed exchange.
    pub error: Option<&'static str>,
    /// Whether it succeeded: neither failed nor left.
    pub success: bool,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body that passed.
    pub answer_bytes: u64,
}

/// Reads an exchange. `answer` holds what passed of the answer.
pub fn read(request_body: &[u8], answer: &Answer, end: End) -> Reading {
    let good = (200..300).contains(&answer.status);
    let streamed = answer
        .header("content-type")
        .is_some_and(|value| value.starts_with("text/event-stream"));
    let events = if good && streamed {
        events(&answer.body)
    } else {
        Vec::new()
    };
    let documents: Vec<Value> = match (good, streamed) {
        (false, _) => Vec::new(),
        (true, true) => events
            .iter()
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect(),
        (true, false) => serde_json::from_slice(&answer.body).into_iter().collect(),
    };
    let last = |key: &str| {
        documents
            .iter()
            .rev()
            .find_map(|document| tokens(document.get("usage")?.get(key)?))
    };
    let ended = events.iter().any(|data| data == "[DONE]");
    let finished = documents.iter().any(|document| {
        let choices = document
            .get("choices")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        choices
            .iter()
            .any(|choice| choice.get("finish_reason").is_some_and(Value::is_string))
    });
    let stream_error = streamed
        && documents
            .iter()
            .any(|document| document.get("error").is_some_and(|error| !error.is_null()));
    let error = match (error_of_status(answer.status), end) {
        (Some(code), _) => Some(code),
        _ if stream_error => Some("StreamError"),
        _ if ended => None,
        (None, End::ServerCut) => Some("UpstreamReset"),
        (None, End::Whole) if good && streamed && !finished => Some("Truncated"),
        (None, End::Whole | End::ClientLeft) => None,
    };
    Reading {
        asked: serde_json::from_slice::<Value>(request_body)
            .ok()
            .and_then(|body| name(body.get("model")?)),
        answered: documents.iter().find_map(|document| name(document.get("model")?)),
        good,
        input: last("prompt_tokens"),
        output: last("completion_tokens"),
        error,
        success: error.is_none() && (end == End::Whole || ended),
        request_bytes: request_body.len() as u64,
        answer_bytes: answer.body.len() as u64,
    }
}

/// The data of every whole event.
fn events(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let mut blocks: Vec<_> = text.split("\n\n").collect();
    // What follows the last blank line is no whole event.
    blocks.pop();
    let data = |block: &&str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix("data:"));
        lines
            .map(|value| value.strip_prefix(' ').unwrap_or(value))
            .collect::<Vec<_>>()
            .join("\n")
    };
    blocks.iter().map(data).filter(|data| !data.is_empty()).collect()
}

fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn tokens(value: &Value) -> Option<u64> {
    value
        .as_f64()
        .filter(|number| number.fract() == 0.0 && *number >= 0.0)
        .map(|number| number as u64)
}

fn error_of_status(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 | 504 => "Timeout",
        429 => "ResourceExhausted",
        502 | 503 => "ServiceUnavailable",
        400..=499 => "BadRequest",
        500..=599 => "ModelServerError",
        _ => return None,
    })
}
