//! Owns the answer to one inference request: from its body and its `x-sim` to a response.

use std::io;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::answer::{Decision, Finish};
use crate::api_error::ApiError;
use crate::behaviour::{Behaviour, BehaviourError, BehaviourErrors, Ending, UsageShape};
use crate::body::{PlannedBody, Step};
use crate::pieces::{self, Pieces};
use crate::request::{Ask, StreamAsk};
use crate::stream::{self, Stop};

/// The answer is made before it is sent; a larger one is refused, since test machines are small.
const MOST_ANSWER_BYTES: u64 = 256 << 20;
/// About what an event weighs beside its text.
const EVENT_OVERHEAD: u64 = 400;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What an answer is made of once the request has been accepted.
pub(crate) struct Accepted {
    pub(crate) decision: Decision,
    stream: Option<StreamAsk>,
}

/// What the server adds to a request to decide its answer.
pub(crate) struct Served {
    pub(crate) model: String,
    pub(crate) id: String,
    pub(crate) created: u64,
}

/// Decides the answer; keys of `x-sim` that could not show in it are mistakes.
pub(crate) fn accept(ask: Ask, served: Served, behaviour: &Behaviour) -> Result<Accepted, BehaviourErrors> {
    let Ask {
        kind,
        model: _,
        choices,
        tokens,
        limited,
        prompt_tokens,
        stream,
    } = ask;
    if stream.is_none()
        && let Some(key) = behaviour.needs_stream()
    {
        return Err(BehaviourError::NeedsStream(key).into());
    }
    if behaviour.usage != UsageShape::AsAsked && stream.is_some_and(|stream| !stream.include_usage) {
        return Err(BehaviourError::NeedsUsage.into());
    }
    let Served { model, id, created } = served;
    let decision = Decision {
        kind,
        id,
        created,
        model: behaviour.model.clone().unwrap_or(model),
        prompt_tokens: behaviour.prompt.unwrap_or(prompt_tokens),
        tokens: behaviour.completion.unwrap_or(tokens),
        choices,
        finish: if limited { Finish::Length } else { Finish::Stop },
        words: behaviour.words,
    };
    let text = u64::try_from(behaviour.words.unwrap_or(12)).unwrap_or(u64::MAX);
    let each = if stream.is_some() {
        text.saturating_add(EVENT_OVERHEAD)
    } else {
        text
    };
    let bytes = decision
        .tokens
        .saturating_mul(each)
        .saturating_add(EVENT_OVERHEAD)
        .saturating_mul(choices);
    if bytes > MOST_ANSWER_BYTES {
        return Err(BehaviourError::TooLarge {
            bytes,
            most: MOST_ANSWER_BYTES,
        }
        .into());
    }
    Ok(Accepted { decision, stream })
}

// === impl Accepted ===

impl Accepted {
    /// The response, with headers that tell what was decided.
    pub(crate) fn respond(&self, behaviour: &Behaviour) -> Result<Response<PlannedBody>, ApiError> {
        let (steps, content_type, announced) = match self.stream {
            Some(ask) => (
                self.stream_steps(ask, behaviour),
                "text/event-stream; charset=utf-8",
                false,
            ),
            None => (self.json_steps(behaviour), "application/json", true),
        };
        let steps = steps.map_err(|error| internal(&error))?;
        let length = announced.then(|| pieces::length(&steps));
        let steps = match behaviour.ending {
            Ending::CutBody(at) => pieces::cut(steps, at),
            _ => steps,
        };
        let mut response = Response::new(PlannedBody::steps(steps, length));
        let decision = &self.decision;
        let model = HeaderValue::from_str(&decision.model).unwrap_or(HeaderValue::from_static("unprintable"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("x-sim-model", model);
        headers.insert("x-sim-prompt-tokens", decision.prompt_tokens.into());
        headers.insert("x-sim-completion-tokens", decision.completion_tokens().into());
        if let Some(encoding) = behaviour.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
        }
        Ok(response)
    }

    fn json_steps(&self, behaviour: &Behaviour) -> io::Result<Vec<Step>> {
        let json = self.decision.json(behaviour.usage);
        let mut pieces = Pieces::new(behaviour.chunking, behaviour.encoding);
        pieces.part(marked(behaviour, json))?;
        pieces.stop(Stop::Clean)
    }

    fn stream_steps(&self, ask: StreamAsk, behaviour: &Behaviour) -> io::Result<Vec<Step>> {
        let (events, stop) = stream::events(&self.decision, ask, behaviour);
        let mut pieces = Pieces::new(behaviour.chunking, behaviour.encoding);
        let last = events.len().saturating_sub(1);
        for (place, event) in events.iter().enumerate() {
            if place > 0 {
                pieces.wait(behaviour.gap);
                if behaviour.comments {
                    pieces.part(stream::comment(behaviour))?;
                }
            }
            let is_last = place == last && stop == Stop::Clean;
            let lines = stream::lines(event, is_last, behaviour);
            if place == 0 {
                pieces.part(marked(behaviour, lines))?;
            } else {
                pieces.part(lines)?;
            }
        }
        pieces.stop(stop)
    }
}

/// The start of a body, with a byte order mark if one is asked for.
fn marked(behaviour: &Behaviour, text: String) -> Vec<u8> {
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
        format!("the body was not made: {error}"),
    )
}
