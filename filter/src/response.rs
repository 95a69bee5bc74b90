//! Reads answers for what they report: the model, the tokens, why the choices ended, and how a stream stands. One reader
//! for each family of answers.
//!
//! A reader knows the wire and no metric. Only answers with a 2xx status are read; an error's body says nothing that its
//! status does not say.

mod body;
mod chat;
mod events;
mod field;
mod finish;
mod inflate;
mod json;
mod messages;
mod responses;
mod usage;

use crate::request::ModelName;
use crate::route::Api;
use body::Body;
use inflate::{Coding, Inflater};

pub use finish::{FinishReason, FinishReasons};
pub use inflate::MAX_INFLATED;
pub use usage::Usage;

/// What an answer reports, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// The model that answered.
    pub model: Option<ModelName>,
    /// The tokens that the server reports.
    pub usage: Usage,
    /// Generated tokens whose ids the server sent, where it sends them.
    pub counted_output: Option<u64>,
    /// Why the choices ended.
    pub finish_reasons: FinishReasons,
    /// How far it could be read.
    pub reading: BodyState,
}

/// How far an answer could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyState {
    /// It is nothing that can be read.
    #[default]
    Unreadable,
    /// It is in a content coding that can't be undone.
    Encoded,
    /// One JSON document.
    Json(JsonState),
    /// An event stream.
    Stream(StreamState),
}

/// How a JSON answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonState {
    /// The document is not whole.
    Open,
    /// It is.
    Whole,
    /// It is no JSON.
    Broken,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// It held an error event.
    pub error: bool,
    /// Its end marker came.
    pub ended: bool,
    /// It held an event whose data is not what its API sends.
    pub broken: bool,
}

/// The reader of one answer's body.
#[derive(Debug)]
pub struct ResponseReader(Coded);

#[derive(Debug)]
enum Coded {
    Plain(Body),
    Inflated(Box<Inflater>),
    /// In a coding that can't be undone.
    Encoded,
}

// === impl ResponseReader ===

impl ResponseReader {
    /// Reads nothing: before the answer's headers, and for one that is not a good one.
    pub const NONE: Self = Self(Coded::Plain(Body::Unreadable));

    /// The reader for a 2xx answer. Its own content type decides whether it is a stream, never the request.
    pub fn new(api: Api, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) -> Self {
        let body = Body::new(api, content_type);
        let inflated = |inflater: fn(Body) -> Inflater, body| Coded::Inflated(Box::new(inflater(body)));
        Self(match Coding::from_header(content_encoding) {
            Coding::Other => Coded::Encoded,
            _ if matches!(body, Body::Unreadable) => Coded::Plain(body),
            Coding::Identity => Coded::Plain(body),
            Coding::Gzip => inflated(Inflater::gzip, body),
            Coding::Deflate => inflated(Inflater::deflate, body),
        })
    }

    /// Whether more bytes can still say anything.
    pub fn wants_more(&self) -> bool {
        match &self.0 {
            Coded::Plain(body) => body.wants_more(),
            Coded::Inflated(inflater) => inflater.wants_more(),
            Coded::Encoded => false,
        }
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Coded::Plain(body) => body.feed(bytes),
            Coded::Inflated(inflater) => inflater.feed(bytes),
            Coded::Encoded => {}
        }
    }

    /// The body is over, whole or not.
    pub fn finish(&mut self) {
        match &mut self.0 {
            Coded::Plain(body) => body.finish(),
            Coded::Inflated(inflater) => inflater.finish(),
            Coded::Encoded => {}
        }
    }

    /// What was read so far.
    pub fn facts(&self) -> ResponseFacts {
        let encoded = ResponseFacts {
            reading: BodyState::Encoded,
            ..ResponseFacts::default()
        };
        match &self.0 {
            Coded::Plain(body) => body.facts(),
            Coded::Inflated(inflater) => inflater.body().map_or(encoded, Body::facts),
            Coded::Encoded => encoded,
        }
    }
}

#[cfg(test)]
mod tests;
