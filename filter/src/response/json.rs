//! The reader of responses that are one JSON document, for every API.

use super::field::Field;
use super::finish::FinishReason;
use super::usage::{ReportedUsage, duration_paths, input_usage_paths, output_usage_paths};
use super::{BodyState, FinishReasons, JsonState, ResponseFacts};
use crate::json::{Path, Paths, Progress, Scanner, Segment, Segment::Key, Value};
use crate::request::ModelName;
use crate::route::Api;

const PATHS: &[Path<Field>] = &[
    Path {
        id: Field::Model,
        segments: &[Key("model")],
    },
    Path {
        id: Field::Choices,
        segments: &[Key("choices")],
    },
    Path {
        id: Field::Choice,
        segments: &[Key("choices"), Segment::Each],
    },
    Path {
        id: Field::FinishReason,
        segments: &[Key("choices"), Segment::Each, Key("finish_reason")],
    },
    Path {
        id: Field::Status,
        segments: &[Key("status")],
    },
    Path {
        id: Field::IncompleteReason,
        segments: &[Key("incomplete_details"), Key("reason")],
    },
    Path {
        id: Field::StopReason,
        segments: &[Key("stop_reason")],
    },
    Path {
        id: Field::Error,
        segments: &[Key("error")],
    },
];

static ALL_PATHS: Paths<Field> = Paths::new(&[
    PATHS,
    input_usage_paths!(Field::Usage),
    output_usage_paths!(Field::Usage),
    duration_paths!(Field::Usage),
]);

/// The reader of one document.
#[derive(Debug)]
pub(super) struct JsonReader {
    scanner: Scanner<Field>,
    api: Api,
    document: Document,
}

/// The values read so far. The last of duplicate keys counts, so each value resets what an earlier one at its path set.
#[derive(Debug, Default)]
struct Document {
    model: Option<ModelName>,
    usage: ReportedUsage,
    /// Of the choices before the current one.
    choices: FinishReasons,
    choice: Option<FinishReason>,
    status: Option<FinishReason>,
    incomplete: Option<FinishReason>,
    stop: Option<FinishReason>,
    /// `status` is `failed`.
    has_failed_status: bool,
    /// The top-level `error` is an object.
    error: bool,
}

// === impl JsonReader ===

impl JsonReader {
    pub(super) fn new(api: Api) -> Self {
        Self {
            scanner: Scanner::new(&ALL_PATHS),
            api,
            document: Document::default(),
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        !matches!(self.scanner.progress(), Progress::Malformed(_))
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Self {
            scanner,
            document,
            api: _,
        } = self;
        scanner.feed(bytes, |field, value| document.read(field, value));
    }

    /// Empty until the document is complete: until then a later key may override an earlier one.
    pub(super) fn facts(&self) -> ResponseFacts {
        let state = match self.scanner.progress() {
            Progress::Complete if self.document.has_failed(self.api) => JsonState::Failed,
            Progress::Complete => JsonState::Complete,
            Progress::Empty | Progress::Incomplete => JsonState::Incomplete,
            Progress::Malformed(_) => JsonState::Malformed,
        };
        let mut facts = ResponseFacts {
            body: BodyState::Json(state),
            ..ResponseFacts::default()
        };
        if matches!(state, JsonState::Complete | JsonState::Failed) {
            facts.model = self.document.model.clone();
            facts.usage = match self.api {
                Api::Messages => self.document.usage.messages_total(),
                _ => self.document.usage.total(),
            };
            facts.finish_reasons = self.document.finish_reasons(self.api);
            if !self.api.generates() {
                facts.usage.output = None;
                facts.usage.reasoning_output = None;
            }
        }
        facts
    }
}

// === impl Document ===

impl Document {
    fn read(&mut self, field: Field, value: Value<'_>) {
        let reason = match value {
            Value::Str(value) => Some(FinishReason::from_wire(value)),
            _ => None,
        };
        match (field, value) {
            (Field::Model, Value::Str(name)) if !name.is_empty() => self.model = Some(name.to_vec()),
            (Field::Model, _) => self.model = None,
            (Field::Usage(field), value) => self.usage.read(field, value),
            (Field::Choices, Value::End) => {}
            (Field::Choices, _) => self.choices = FinishReasons::default(),
            (Field::Choice, Value::End) => {
                if let Some(reason) = self.choice.take() {
                    self.choices.add(reason);
                }
            }
            (Field::Choice, _) => self.choice = None,
            (Field::FinishReason, _) => self.choice = reason,
            (Field::Status, value) => {
                self.has_failed_status = value == Value::Str(b"failed");
                self.status = reason.filter(|_| !matches!(value, Value::Str(b"in_progress" | b"queued")));
            }
            (Field::IncompleteReason, _) => self.incomplete = reason,
            (Field::StopReason, _) => self.stop = reason,
            (Field::Error, Value::End) => {}
            (Field::Error, value) => self.error = value == Value::Object,
            // Not in this reader's paths.
            _ => {}
        }
    }

    /// Whether the document reports a failure, whatever the status of the response.
    fn has_failed(&self, api: Api) -> bool {
        self.error || (api == Api::Responses && self.has_failed_status)
    }

    fn finish_reasons(&self, api: Api) -> FinishReasons {
        let mut reasons = FinishReasons::default();
        let reason = match api {
            Api::Chat | Api::Completions => return self.choices,
            // `incomplete_details.reason` is more specific than the status.
            Api::Responses => self.incomplete.or(self.status),
            Api::Messages => self.stop,
            Api::Embeddings | Api::Rerank | Api::Score | Api::Pooling | Api::Classify | Api::Audio => None,
        };
        if let Some(reason) = reason {
            reasons.add(reason);
        }
        reasons
    }
}
