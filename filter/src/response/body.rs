//! A decoded response body, dispatched to the reader of its format.

use super::ResponseFacts;
use super::chat::Chat;
use super::events::EventReader;
use super::json::JsonReader;
use super::messages::Messages;
use super::responses::Responses;
use crate::inflate::Sink;
use crate::route::Api;

#[derive(Debug)]
pub(super) enum Body {
    Json(Box<JsonReader>),
    Chat(Box<EventReader<Chat>>),
    Responses(Box<EventReader<Responses>>),
    Messages(Box<EventReader<Messages>>),
    /// The content type has no reader.
    Unsupported,
}

// === impl Body ===

impl Body {
    pub(super) fn new(api: Api, content_type: Option<&[u8]>) -> Self {
        let media_type =
            content_type.map(|value| value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii());
        match (media_type, api) {
            (Some(media_type), Api::Chat | Api::Completions) if is_event_stream(media_type) => {
                Self::Chat(Box::default())
            }
            (Some(media_type), Api::Responses) if is_event_stream(media_type) => Self::Responses(Box::default()),
            (Some(media_type), Api::Messages) if is_event_stream(media_type) => Self::Messages(Box::default()),
            // Servers that omit the content type send JSON; anything else is malformed from its first byte.
            (None, api) => Self::Json(Box::new(JsonReader::new(api))),
            (Some(media_type), api) if is_json(media_type) => Self::Json(Box::new(JsonReader::new(api))),
            (Some(_), _) => Self::Unsupported,
        }
    }

    pub(super) fn finish(&mut self) {
        match self {
            Self::Chat(reader) => reader.finish(),
            Self::Responses(reader) => reader.finish(),
            Self::Messages(reader) => reader.finish(),
            Self::Json(_) | Self::Unsupported => {}
        }
    }

    pub(super) fn facts(&self) -> ResponseFacts {
        match self {
            Self::Json(reader) => reader.facts(),
            Self::Chat(reader) => reader.facts(),
            Self::Responses(reader) => reader.facts(),
            Self::Messages(reader) => reader.facts(),
            Self::Unsupported => ResponseFacts::default(),
        }
    }
}

impl Sink for Body {
    fn wants_more(&self) -> bool {
        match self {
            Self::Json(reader) => reader.wants_more(),
            Self::Chat(reader) => reader.wants_more(),
            Self::Responses(reader) => reader.wants_more(),
            Self::Messages(reader) => reader.wants_more(),
            Self::Unsupported => false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Json(reader) => reader.feed(bytes),
            Self::Chat(reader) => reader.feed(bytes),
            Self::Responses(reader) => reader.feed(bytes),
            Self::Messages(reader) => reader.feed(bytes),
            Self::Unsupported => {}
        }
    }
}

fn is_event_stream(media_type: &[u8]) -> bool {
    media_type.eq_ignore_ascii_case(b"text/event-stream")
}

fn is_json(media_type: &[u8]) -> bool {
    let suffix = media_type.last_chunk::<5>();
    media_type.eq_ignore_ascii_case(b"application/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"))
}
