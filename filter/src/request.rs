//! The reader of request bodies, which finds the model and whether a stream is to include usage.
//!
//! It knows the keys of the JSON document, the fields of the form, and nothing about labels.

use crate::inflate::{Decoder, Sink};
use crate::json::{Path, Paths, Progress, Scanner, Segment::Key, Value};
use crate::multipart;
use crate::route::Api;

/// A model name as received: JSON escapes decoded, not necessarily UTF-8, truncated to [`MAX_TEXT`](crate::json::MAX_TEXT)
/// bytes.
pub type ModelName = Vec<u8>;

#[derive(Clone, Copy, Debug)]
enum Field {
    Model,
    StreamOptions,
    IncludeUsage,
}

static PATHS: Paths<Field> = Paths::new(&[&[
    Path {
        id: Field::Model,
        segments: &[Key("model")],
    },
    Path {
        id: Field::StreamOptions,
        segments: &[Key("stream_options")],
    },
    Path {
        id: Field::IncludeUsage,
        segments: &[Key("stream_options"), Key("include_usage")],
    },
]]);

/// The reader of one request body.
#[derive(Debug)]
pub struct RequestReader {
    decoder: Decoder,
    body: Body,
}

/// A decoded body.
#[derive(Debug)]
struct Body {
    format: Format,
    facts: RequestFacts,
}

#[derive(Debug)]
enum Format {
    Json(Scanner<Field>),
    /// Audio: the file and its parameters.
    Form(multipart::Parser),
    /// After the end of the body.
    End,
}

/// The facts read so far from a request body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The last top-level `model`, or field of this name, unless it is empty or no string.
    pub model: Option<ModelName>,
    /// `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// The body is neither empty nor a complete JSON document.
    pub malformed: bool,
    /// The body has a content coding and can't be read: what it requests is unknown.
    pub encoded: bool,
}

// === impl RequestReader ===

impl RequestReader {
    /// A reader for requests to this API.
    pub fn new(api: Api, content_encoding: Option<&[u8]>) -> Self {
        let format = match api {
            Api::Audio => Format::Form(multipart::Parser::new("model")),
            _ => Format::Json(Scanner::new(&PATHS)),
        };
        let decoder = Decoder::new(content_encoding);
        let mut body = Body {
            format,
            facts: RequestFacts::default(),
        };
        if decoder.has_failed() {
            body.abandon();
        }
        Self { decoder, body }
    }

    /// Whether further bytes can change the facts.
    pub fn wants_more(&self) -> bool {
        self.decoder.wants_more(&self.body)
    }

    /// Reads the next chunk of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes, &mut self.body);
        if self.decoder.has_failed() {
            self.body.abandon();
        }
    }

    /// Ends the body. A JSON document that is incomplete or malformed names no model; in a form, a complete field does.
    pub fn finish(&mut self) {
        let is_encoded = self.decoder.is_encoded();
        self.decoder.finish();
        let Format::Json(scanner) = std::mem::replace(&mut self.body.format, Format::End) else {
            return;
        };
        match scanner.progress() {
            Progress::Complete => {}
            Progress::Empty => self.body.facts = RequestFacts::default(),
            // Not a parse failure: the coding may be at fault.
            Progress::Incomplete | Progress::Malformed(_) if is_encoded => self.body.abandon(),
            Progress::Incomplete | Progress::Malformed(_) => {
                self.body.facts = RequestFacts {
                    malformed: true,
                    ..RequestFacts::default()
                };
            }
        }
    }

    /// Before [`Self::finish`], a later key may still change them.
    pub fn facts(&self) -> &RequestFacts {
        &self.body.facts
    }
}

// === impl Body ===

impl Body {
    fn abandon(&mut self) {
        self.format = Format::End;
        self.facts = RequestFacts {
            encoded: true,
            ..RequestFacts::default()
        };
    }
}

impl Sink for Body {
    fn wants_more(&self) -> bool {
        match &self.format {
            Format::Json(scanner) => !matches!(scanner.progress(), Progress::Malformed(_)),
            Format::Form(parser) => parser.wants_more(),
            Format::End => false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let Self { format, facts } = self;
        match format {
            // The last of duplicate keys wins, whatever its type.
            Format::Json(scanner) => scanner.feed(bytes, |field, value| match (field, value) {
                (Field::Model, Value::Str(name)) if !name.is_empty() => facts.model = Some(name.to_vec()),
                (Field::Model, _) => facts.model = None,
                (Field::StreamOptions, Value::End) => {}
                (Field::StreamOptions, _) => facts.include_usage = false,
                (Field::IncludeUsage, value) => facts.include_usage = is_true(value),
            }),
            Format::Form(parser) => {
                parser.feed(bytes);
                if facts.model.as_deref() != parser.value() {
                    facts.model = parser.value().filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
                }
            }
            Format::End => {}
        }
    }
}

/// Whether pydantic, the parser of the model servers, accepts the value as true.
fn is_true(value: Value<'_>) -> bool {
    match value {
        Value::Bool(value) => value,
        Value::Number(digits) => matches!(digits, b"1" | b"1.0"),
        Value::Str(word) => [&b"true"[..], b"1", b"yes", b"y", b"on", b"t"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known)),
        Value::Null | Value::Object | Value::Array | Value::End => false,
    }
}

#[cfg(test)]
mod tests;
