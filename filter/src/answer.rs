//! Reads answers for what they report: the model, the tokens, and how a stream ended. One reader for each family.
//!
//! A reader knows the wire and no metric. Only answers with a 2xx status are read; an error's body says nothing that
//! its status does not say.

mod chat_stream;
mod json;
mod usage;

use crate::request::ModelName;
use crate::route::Api;
use chat_stream::ChatStreamReader;
use json::JsonReader;

/// What an answer reports, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// The model that answered.
    pub model: Option<ModelName>,
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens that were generated, over all choices.
    pub output_tokens: Option<u64>,
    /// How the stream stands; `None` for an answer that is no stream.
    pub stream: Option<StreamFacts>,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// It held an error event.
    pub error: bool,
    /// A choice has given its finish reason.
    pub finished: bool,
    /// Its end marker came.
    pub ended: bool,
}

/// The reader of one answer's body.
#[derive(Debug)]
pub enum AnswerReader {
    /// One JSON document.
    Json(Box<JsonReader>),
    /// A chat or completions stream.
    ChatStream(Box<ChatStreamReader>),
    /// Nothing that can be read: counted only.
    Opaque,
}

// === impl AnswerReader ===

impl AnswerReader {
    /// The reader for a 2xx answer. Its own content type decides whether it is a stream, never the request.
    pub fn new(api: Api, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) -> Self {
        let encoded = content_encoding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        let media_type =
            content_type.map(|value| value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii());
        match media_type {
            _ if encoded => Self::Opaque,
            Some(media_type) if media_type.eq_ignore_ascii_case(b"text/event-stream") => match api {
                Api::Chat | Api::Completions => Self::ChatStream(Box::default()),
                _ => Self::Opaque,
            },
            // A server that forgets the type sends JSON; whatever else it is breaks the scanner at its first byte.
            None => Self::Json(Box::new(JsonReader::new(api))),
            Some(media_type) if is_json(media_type) => Self::Json(Box::new(JsonReader::new(api))),
            Some(_) => Self::Opaque,
        }
    }

    /// Whether more bytes can still say anything.
    pub fn wants_more(&self) -> bool {
        match self {
            Self::Json(reader) => reader.wants_more(),
            Self::ChatStream(reader) => reader.wants_more(),
            Self::Opaque => false,
        }
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Json(reader) => reader.feed(bytes),
            Self::ChatStream(reader) => reader.feed(bytes),
            Self::Opaque => {}
        }
    }

    /// The body is over, whole or not.
    pub fn finish(&mut self) {
        match self {
            Self::ChatStream(reader) => reader.finish(),
            Self::Json(_) | Self::Opaque => {}
        }
    }

    /// What was read so far.
    pub fn facts(&self) -> AnswerFacts {
        match self {
            Self::Json(reader) => reader.facts(),
            Self::ChatStream(reader) => reader.facts(),
            Self::Opaque => AnswerFacts::default(),
        }
    }
}

fn is_json(media_type: &[u8]) -> bool {
    let lower = media_type.to_ascii_lowercase();
    lower == b"application/json" || lower.ends_with(b"+json")
}

#[cfg(test)]
mod tests;
