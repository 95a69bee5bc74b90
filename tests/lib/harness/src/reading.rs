//! An independent reading of an exchange: `serde_json` on whole bodies, written from the contract and not from the
//! filter, slow and plain.

use std::collections::BTreeMap;

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
    /// The answer was an event stream.
    pub streamed: bool,
    /// Prompt tokens.
    pub input: Option<u64>,
    /// Completion tokens.
    pub output: Option<u64>,
    /// Prompt tokens from a cache.
    pub cached: Option<u64>,
    /// Completion tokens spent on reasoning.
    pub reasoning: Option<u64>,
    /// Seconds of audio, in place of tokens.
    pub audio_seconds: Option<u64>,
    /// How the tokens became known, or why not.
    pub source: Option<&'static str>,
    /// Each choice's.
    pub finish_reasons: Vec<&'static str>,
    /// The error code of a failed exchange.
    pub error: Option<&'static str>,
    /// The client went away, and it was no error.
    pub cancelled: bool,
    /// The request's body is not JSON.
    pub broken_request: bool,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body that passed.
    pub answer_bytes: u64,
}

/// Reads an exchange. `answer` holds what passed of the answer.
pub fn read(path: &str, request_body: &[u8], answer: &Answer, end: End) -> Reading {
    let request = serde_json::from_slice::<Value>(request_body).ok();
    let good = (200..300).contains(&answer.status);
    let streamed = good
        && answer
            .header("content-type")
            .is_some_and(|value| value.starts_with("text/event-stream"));
    let events = if streamed { events(&answer.body) } else { Vec::new() };
    let documents: Vec<Value> = match (good, streamed) {
        (false, _) => Vec::new(),
        (true, true) => events
            .iter()
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect(),
        (true, false) => serde_json::from_slice(&answer.body).into_iter().collect(),
    };
    let is_audio = path.contains("/audio/");
    let generates = [
        "chat/completions",
        "/completions",
        "/batch",
        "/responses",
        "/messages",
        "/audio/",
    ]
    .iter()
    .any(|api| path.contains(api));
    let tokens = |names: &[&str]| documents.iter().rev().find_map(|document| reported(document, names));
    // The usage of all choices, else the sum of each choice's last one.
    let summed = |names: &[&str]| {
        let is_one = |document: &&Value| streamed && choices(document).len() == 1;
        let all = documents.iter().rev().filter(|document| !is_one(document));
        let mut each = BTreeMap::new();
        for document in documents.iter().filter(is_one) {
            let index = choices(document)
                .first()
                .and_then(|choice| choice.get("index")?.as_u64());
            if let Some(count) = reported(document, names) {
                each.insert(index, count);
            }
        }
        let sum = (!each.is_empty()).then(|| each.values().sum());
        all.into_iter().find_map(|document| reported(document, names)).or(sum)
    };
    let output = summed(&["completion_tokens", "output_tokens"]).filter(|_| generates);
    let (ids, has_ids) = token_ids(&documents);
    let ended = events.iter().any(|data| data == "[DONE]") || documents.iter().any(ends);
    let finish_reasons = finish_reasons(&documents, streamed);
    let stream_error = streamed && documents.iter().any(is_error);
    let failed = |document: &Value| {
        document.get("error").is_some_and(Value::is_object)
            || path.ends_with("/responses") && document.get("status").is_some_and(|status| status == "failed")
    };
    let error = match (error_of_status(answer.status), end) {
        (Some(code), _) => Some(code),
        _ if good && !streamed && documents.iter().any(failed) => Some("ModelServerError"),
        _ if stream_error => Some("StreamError"),
        _ if ended => None,
        (None, End::ServerCut) => Some("UpstreamReset"),
        (None, End::Whole) if streamed && finish_reasons.is_empty() => Some("Truncated"),
        (None, End::Whole | End::ClientLeft) => None,
    };
    let input = tokens(&["prompt_tokens", "input_tokens"]).map(|input| {
        let cached = ["cache_read_input_tokens", "cache_creation_input_tokens"].map(|name| tokens(&[name]));
        let is_message = path.ends_with("/messages");
        input + cached.into_iter().flatten().filter(|_| is_message).sum::<u64>()
    });
    let audio_seconds = documents.first().and_then(|document| {
        let usage = document.get("usage")?;
        usage
            .get("seconds")?
            .as_u64()
            .filter(|_| usage.get("type").is_some_and(|kind| kind == "duration"))
    });
    let cancelled = end == End::ClientLeft && !ended && error.is_none();
    let on_request = streamed && path.contains("/completions");
    let source = match error {
        _ if input.or(output).is_some() => "reported",
        _ if audio_seconds.is_some() => "reported_duration",
        _ if streamed && has_ids => "counted",
        _ if on_request && !asks_for_usage(request.as_ref()) => "missing_not_requested",
        _ if cancelled => "missing_aborted",
        Some(_) => "missing_truncated",
        None => "missing_unparsed",
    };
    Reading {
        asked: if is_audio {
            form_model(request_body)
        } else {
            request.as_ref().and_then(|body| name(body.get("model")?))
        },
        answered: documents.iter().find_map(model),
        good,
        streamed,
        input,
        output: output.or((streamed && has_ids).then_some(ids)),
        cached: tokens(&[
            "prompt_tokens_details/cached_tokens",
            "input_tokens_details/cached_tokens",
            "cache_read_input_tokens",
        ]),
        audio_seconds,
        reasoning: summed(&[
            "completion_tokens_details/reasoning_tokens",
            "output_tokens_details/reasoning_tokens",
            "reasoning_tokens",
        ])
        .filter(|_| generates),
        source: good.then_some(source),
        finish_reasons,
        error,
        cancelled,
        broken_request: !is_audio && request.is_none() && !request_body.trim_ascii().is_empty(),
        request_bytes: request_body.len() as u64,
        answer_bytes: answer.body.len() as u64,
    }
}

/// The field `model` of a form.
fn form_model(form: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(form);
    let value = text.split_once("name=\"model\"\r\n\r\n")?.1;
    Some(value.split_once("\r\n--")?.0.to_owned())
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

/// A count under one of these names, wherever the API has its usage. What a message says of its output at its start is no
/// count.
fn reported(document: &Value, names: &[&str]) -> Option<u64> {
    let places = ["/usage", "/response/usage", "/message/usage"];
    places.iter().find_map(|place| {
        names
            .iter()
            .filter(|name| *place != "/message/usage" || !name.starts_with("output"))
            .find_map(|name| {
                let number = document.pointer(&format!("{place}/{name}"))?.as_f64()?;
                let is_placeholder = *place == "/message/usage" && *name == "input_tokens" && number == 0.0;
                (number.fract() == 0.0 && number >= 0.0 && !is_placeholder).then_some(number as u64)
            })
    })
}

fn token_ids(documents: &[Value]) -> (u64, bool) {
    let lists: Vec<_> = documents
        .iter()
        .flat_map(choices)
        .filter_map(|choice| choice.get("token_ids")?.as_array())
        .map(|ids| ids.len() as u64)
        .collect();
    (lists.iter().sum(), !lists.is_empty())
}

fn choices(document: &Value) -> &[Value] {
    document
        .get("choices")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn finish_reasons(documents: &[Value], streamed: bool) -> Vec<&'static str> {
    let word = |document: &Value, place: &str| document.pointer(place).and_then(Value::as_str).map(str::to_owned);
    let of_choices = documents
        .iter()
        .flat_map(choices)
        .filter_map(|choice| word(choice, "/finish_reason"));
    let of_response = documents
        .iter()
        .filter(|document| !streamed || ends(document))
        .filter_map(|document| {
            [
                "/incomplete_details/reason",
                "/response/incomplete_details/reason",
                "/status",
                "/response/status",
            ]
            .iter()
            .find_map(|place| word(document, place))
        });
    let of_message = documents
        .iter()
        .filter_map(|document| word(document, "/stop_reason").or(word(document, "/delta/stop_reason")));
    let meaning = |word: String| match word.as_str() {
        "stop" | "end_turn" | "completed" => "stop",
        "length" | "max_tokens" | "max_output_tokens" => "length",
        "failed" => "error",
        "tool_calls" | "tool_use" => "tool_calls",
        _ => "other",
    };
    of_choices.chain(of_response).chain(of_message).map(meaning).collect()
}

fn kind(document: &Value) -> &str {
    document.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether an event is the last one of its API.
fn ends(document: &Value) -> bool {
    matches!(
        kind(document),
        "response.completed" | "response.incomplete" | "response.failed" | "message_stop"
    )
}

fn is_error(document: &Value) -> bool {
    let error = document.get("error").is_some_and(|error| !error.is_null());
    error
        || matches!(kind(document), "error" | "response.failed")
        || document.get("object").is_some_and(|object| object == "error")
}

fn model(document: &Value) -> Option<String> {
    ["/model", "/response/model", "/message/model"]
        .iter()
        .find_map(|place| name(document.pointer(place)?))
}

fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn asks_for_usage(request: Option<&Value>) -> bool {
    let asked = request.and_then(|request| request.pointer("/stream_options/include_usage"));
    asked.is_some_and(|asked| *asked == true || *asked == "true" || *asked == 1)
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
