//! Turns an accepted inference request and its behaviour into a completion and a response.

use std::io;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::api_error::ApiError;
use crate::behaviour::{Behaviour, BehaviourError, BehaviourErrors, ResponseEnd, UsagePlacement};
use crate::body::PlannedBody;
use crate::body_builder::BodyBuilder;
use crate::completion::Completion;
use crate::inference_request::{InferenceRequest, StreamOptions};
use crate::step::{self, BodyEnd, Step};
use crate::stream;

/// Limit of a response, which is built before it is sent: test machines are small.
const MAX_RESPONSE_BYTES: u64 = 256 << 20;
/// The approximate size of an event without its text.
const EVENT_OVERHEAD: u64 = 400;
/// The approximate size of a token's text when `token-bytes` is not given.
const TOKEN_BYTES: usize = 12;
const BOM: &[u8] = b"\xef\xbb\xbf";

pub(crate) struct Accepted {
    pub(crate) completion: Completion,
    stream: Option<StreamOptions>,
}

/// What the server adds to a request.
pub(crate) struct ResponseMeta {
    pub(crate) model: String,
    pub(crate) id: String,
    pub(crate) created: u64,
}

/// # Errors
/// If a key of `x-sim` would have no effect on the response.
pub(crate) fn accept(
    request: InferenceRequest,
    meta: ResponseMeta,
    behaviour: &Behaviour,
) -> Result<Accepted, BehaviourErrors> {
    let InferenceRequest {
        kind,
        model: _,
        choices,
        tokens,
        finish,
        prompt_tokens,
        stream,
    } = request;
    if stream.is_none()
        && let Some(key) = behaviour.needs_stream()
    {
        return Err(BehaviourError::NeedsStream(key).into());
    }
    if behaviour.usage != UsagePlacement::AsRequested && stream.is_some_and(|options| !options.include_usage) {
        return Err(BehaviourError::NeedsUsage.into());
    }
    let ResponseMeta { model, id, created } = meta;
    let completion = Completion {
        kind,
        id,
        created,
        model: behaviour.model.clone().unwrap_or(model),
        prompt_tokens: behaviour.prompt.unwrap_or(prompt_tokens),
        tokens: behaviour.completion.unwrap_or(tokens),
        choices,
        finish,
        token_bytes: behaviour.token_bytes,
    };
    let text = u64::try_from(behaviour.token_bytes.unwrap_or(TOKEN_BYTES)).unwrap_or(u64::MAX);
    let each = if stream.is_some() {
        text.saturating_add(EVENT_OVERHEAD)
    } else {
        text
    };
    let bytes = completion
        .tokens
        .saturating_mul(each)
        .saturating_add(EVENT_OVERHEAD)
        .saturating_mul(choices);
    if bytes > MAX_RESPONSE_BYTES {
        let limit = MAX_RESPONSE_BYTES;
        return Err(BehaviourError::TooLarge { bytes, limit }.into());
    }
    Ok(Accepted { completion, stream })
}

// === impl Accepted ===

impl Accepted {
    pub(crate) fn respond(&self, behaviour: &Behaviour) -> Result<Response<PlannedBody>, ApiError> {
        let (steps, content_type, has_length) = match self.stream {
            Some(options) => (
                self.stream_steps(options, behaviour),
                "text/event-stream; charset=utf-8",
                false,
            ),
            None => (self.json_steps(behaviour), "application/json", true),
        };
        let steps = steps.map_err(|error| internal(&error))?;
        let length = has_length.then(|| step::length(&steps));
        let steps = match behaviour.end {
            ResponseEnd::CutBody(at) => step::cut(steps, at),
            _ => steps,
        };
        let mut response = Response::new(PlannedBody::from_steps(steps, length));
        let completion = &self.completion;
        let model = HeaderValue::from_str(&completion.model).unwrap_or(HeaderValue::from_static("unprintable"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("x-sim-model", model);
        headers.insert("x-sim-prompt-tokens", completion.prompt_tokens.into());
        headers.insert("x-sim-completion-tokens", completion.completion_tokens().into());
        if let Some(encoding) = behaviour.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
        }
        Ok(response)
    }

    fn json_steps(&self, behaviour: &Behaviour) -> io::Result<Vec<Step>> {
        let json = self.completion.json(behaviour.usage);
        let mut body = BodyBuilder::new(behaviour.chunking, behaviour.encoding);
        body.part(with_bom(behaviour, json))?;
        body.finish(BodyEnd::Complete)
    }

    fn stream_steps(&self, options: StreamOptions, behaviour: &Behaviour) -> io::Result<Vec<Step>> {
        let (payloads, end) = stream::payloads(&self.completion, options, behaviour);
        let mut body = BodyBuilder::new(behaviour.chunking, behaviour.encoding);
        let last = payloads.len().saturating_sub(1);
        for (index, payload) in payloads.iter().enumerate() {
            if index > 0 {
                body.wait(behaviour.gap);
                if behaviour.comments {
                    body.part(stream::comment(behaviour))?;
                }
            }
            let is_last = index == last && end == BodyEnd::Complete;
            let lines = stream::lines(payload, is_last, behaviour);
            if index == 0 {
                body.part(with_bom(behaviour, lines))?;
            } else {
                body.part(lines)?;
            }
        }
        body.finish(end)
    }
}

/// The start of a body, after a byte order mark if `bom=yes`.
fn with_bom(behaviour: &Behaviour, text: String) -> Vec<u8> {
    if behaviour.bom {
        [BOM, text.as_bytes()].concat()
    } else {
        text.into_bytes()
    }
}

fn internal(error: &io::Error) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        format!("cannot build the response body: {error}"),
    )
}
