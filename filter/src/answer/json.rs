//! Reads an answer that is one JSON document, of any API.

use super::AnswerFacts;
use super::usage::{Usage, count};
use crate::json::{Path, Progress, Scanner, Seg::Key, Value};
use crate::request::ModelName;
use crate::route::Api;

#[derive(Clone, Copy, Debug)]
enum Field {
    Model,
    Usage,
    InputTokens,
    OutputTokens,
}

/// OpenAI's first APIs say prompt and completion tokens, its Responses API and Anthropic's Messages input and output.
static PATHS: [Path<Field>; 6] = [
    Path {
        id: Field::Model,
        segs: &[Key("model")],
    },
    Path {
        id: Field::Usage,
        segs: &[Key("usage")],
    },
    Path {
        id: Field::InputTokens,
        segs: &[Key("usage"), Key("prompt_tokens")],
    },
    Path {
        id: Field::InputTokens,
        segs: &[Key("usage"), Key("input_tokens")],
    },
    Path {
        id: Field::OutputTokens,
        segs: &[Key("usage"), Key("completion_tokens")],
    },
    Path {
        id: Field::OutputTokens,
        segs: &[Key("usage"), Key("output_tokens")],
    },
];

/// The reader of one document.
#[derive(Debug)]
pub struct JsonReader {
    scanner: Scanner<Field>,
    generates: bool,
    model: Option<ModelName>,
    usage: Usage,
}

// === impl JsonReader ===

impl JsonReader {
    pub(super) fn new(api: Api) -> Self {
        Self {
            scanner: Scanner::new(&PATHS),
            generates: api.generates(),
            model: None,
            usage: Usage::default(),
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        !matches!(self.scanner.progress(), Progress::Broken(_))
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Self {
            scanner,
            generates,
            model,
            usage,
        } = self;
        // Of several equal keys the last one counts, so whatever stands at a path ends what stood there before.
        scanner.feed(bytes, &mut |field, value| match (field, value) {
            (Field::Model, Value::Str(name)) if !name.is_empty() => *model = Some(name.to_vec()),
            (Field::Model, _) => *model = None,
            (Field::Usage, Value::End) => {}
            (Field::Usage, _) => *usage = Usage::default(),
            (Field::InputTokens, value) => usage.input = count(value),
            (Field::OutputTokens, value) => usage.output = count(value).filter(|_| *generates),
        });
    }

    /// Nothing before the document is whole: until then a later key may take back what an earlier one said.
    pub(super) fn facts(&self) -> AnswerFacts {
        if self.scanner.progress() != Progress::Complete {
            return AnswerFacts::default();
        }
        AnswerFacts {
            model: self.model.clone(),
            input_tokens: self.usage.input,
            output_tokens: self.usage.output,
            stream: None,
        }
    }
}
