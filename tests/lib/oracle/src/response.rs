//! The facts of a 2xx response's body: the model, tokens, finish reasons, and how far it could be read.

mod document;
mod stream;
mod usage;

use std::collections::BTreeMap;

use crate::Undecidable;
use crate::api::Api;
use crate::coding::decode;
use crate::words::finish_reason;
pub use usage::Usage;

/// The facts of a response's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// The model that it names.
    pub model: Option<String>,
    /// The tokens that it reports.
    pub usage: Usage,
    /// Generated tokens whose ids it contains.
    pub counted_output: Option<u64>,
    /// How many choices ended for each reason.
    pub finish_reasons: BTreeMap<&'static str, u64>,
    /// How far it could be read.
    pub body: BodyState,
}

/// How far a body could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyState {
    /// Its media type is neither JSON nor an event stream of its API.
    #[default]
    Unreadable,
    /// It is in a content coding that cannot be undone.
    Encoded,
    /// One JSON document.
    Document(DocumentState),
    /// An event stream.
    Stream(StreamState),
}

/// How far a body is one JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentState {
    /// It ends before the document does.
    Incomplete,
    /// It is.
    Complete,
    /// It is, and reports that the request failed.
    Failed,
    /// It is not JSON.
    Malformed,
}

/// What a stream contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// An error event.
    pub error: bool,
    /// The end marker.
    pub ended: bool,
    /// A finish reason of every choice that has started.
    pub finished: bool,
    /// An event whose data is not what its API sends.
    pub malformed: bool,
}

// === impl ResponseFacts ===

impl ResponseFacts {
    /// Reads the body of a 2xx response, as far as it was received.
    ///
    /// # Errors
    /// Where [`Document::parse`](crate::json::Document::parse) cannot judge the body, or an event's data.
    pub fn read(
        api: Api,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        body: &[u8],
    ) -> Result<Self, Undecidable> {
        let state = |body| Self {
            body,
            ..Self::default()
        };
        let Some(body) = decode(content_encoding, body) else {
            return Ok(state(BodyState::Encoded));
        };
        let media_type = content_type.map(|value| {
            let value = value.split(';').next().unwrap_or(value);
            value.trim().to_ascii_lowercase()
        });
        match media_type.as_deref() {
            Some("text/event-stream") if api.streams() => stream::read(api, &body),
            // Servers that forget the type send JSON.
            None | Some("application/json") => document::read(api, &body),
            Some(other) if other.ends_with("+json") => document::read(api, &body),
            Some(_) => Ok(state(BodyState::Unreadable)),
        }
    }

    /// A choice ended for the reason of this word, if there is one.
    fn finish(&mut self, word: Option<&str>) {
        if let Some(word) = word {
            *self.finish_reasons.entry(finish_reason(word)).or_default() += 1;
        }
    }
}
