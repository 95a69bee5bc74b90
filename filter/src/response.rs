//! Readers of response bodies, one for each family of APIs. They report the model, token usage, finish reasons and the
//! state of the body.
//!
//! A reader knows the wire format and no metric. Only bodies of 2xx responses are read: an error body adds nothing to its
//! status.

mod body;
mod chat;
mod events;
mod field;
mod finish;
mod json;
mod messages;
mod responses;
mod usage;

use crate::inflate::Decoder;
use crate::request::ModelName;
use crate::route::Api;
use body::Body;

pub use finish::{FinishReason, FinishReasons};
pub use usage::Usage;

/// The facts read so far from a response body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// As the model server names it.
    pub model: Option<ModelName>,
    /// As the model server reports it.
    pub usage: Usage,
    /// Number of generated token IDs, if the model server sends them.
    pub counted_output: Option<u64>,
    /// One for each finished choice.
    pub finish_reasons: FinishReasons,
    /// The format of the body, and how far it was read.
    pub body: BodyState,
}

/// The format of a response body and its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyState {
    /// The content type has no reader.
    #[default]
    Unsupported,
    /// The content coding can't be decoded.
    Encoded,
    /// A JSON document.
    Json(JsonState),
    /// An SSE stream.
    Stream(StreamState),
}

/// The state of a JSON response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonState {
    /// The document has not ended.
    Incomplete,
    /// Only a complete document reports facts.
    Complete,
    /// The document is complete and reports that the request failed.
    Failed,
    /// The body is not a JSON document.
    Malformed,
}

/// The state of an SSE stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// An error event was received.
    pub error: bool,
    /// The API's end marker was received: `[DONE]`, `response.completed`, `message_stop` or the like.
    pub done: bool,
    /// Every choice that has started has its finish reason.
    pub finished: bool,
    /// An event with data that is not valid for the API was received.
    pub malformed: bool,
}

/// The reader of one response body.
#[derive(Debug)]
pub struct ResponseReader {
    decoder: Decoder,
    body: Body,
}

// === impl ResponseReader ===

impl ResponseReader {
    /// Reads nothing: before the response headers, and for a status other than 2xx.
    pub(crate) const NONE: Self = Self {
        decoder: Decoder::IDENTITY,
        body: Body::Unsupported,
    };

    /// The reader of a 2xx response. Its content type decides whether it is a stream, never the request.
    pub fn new(api: Api, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) -> Self {
        Self {
            decoder: Decoder::new(content_encoding),
            body: Body::new(api, content_type),
        }
    }

    /// Whether further bytes can change the facts.
    pub fn wants_more(&self) -> bool {
        self.decoder.wants_more(&self.body)
    }

    /// Reads the next chunk of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes, &mut self.body);
    }

    /// Ends the body, complete or not.
    pub fn finish(&mut self) {
        self.decoder.finish();
        self.body.finish();
    }

    /// The facts so far.
    pub fn facts(&self) -> ResponseFacts {
        if self.decoder.has_failed() {
            return ResponseFacts {
                body: BodyState::Encoded,
                ..ResponseFacts::default()
            };
        }
        self.body.facts()
    }
}

#[cfg(test)]
mod tests;
