//! Reads the event stream of a chat or a completion.
//!
//! Every event is a JSON document of its own. What an event says counts once its document and the event are whole;
//! one that is cut off or broken says nothing, and the next one counts again.

use super::usage::{Usage, count};
use super::{AnswerFacts, StreamFacts};
use crate::json::{Path, Progress, Scanner, Seg, Seg::Key, Value};
use crate::request::ModelName;
use crate::sse::{Piece, Splitter};

const END_MARKER: &[u8] = b"[DONE]";

#[derive(Clone, Copy, Debug)]
enum Field {
    Model,
    FinishReason,
    Usage,
    InputTokens,
    OutputTokens,
    Error,
    Object,
}

static PATHS: [Path<Field>; 7] = [
    Path {
        id: Field::Model,
        segs: &[Key("model")],
    },
    Path {
        id: Field::FinishReason,
        segs: &[Key("choices"), Seg::Each, Key("finish_reason")],
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
        id: Field::OutputTokens,
        segs: &[Key("usage"), Key("completion_tokens")],
    },
    Path {
        id: Field::Error,
        segs: &[Key("error")],
    },
    Path {
        id: Field::Object,
        segs: &[Key("object")],
    },
];

/// The reader of one stream.
#[derive(Debug)]
pub struct ChatStreamReader {
    splitter: Splitter,
    events: EventReader,
}

#[derive(Debug)]
struct EventReader {
    scanner: Scanner<Field>,
    event: Event,
    model: Option<ModelName>,
    /// Usage is cumulative where it comes with every event: the last one counts.
    usage: Usage,
    stream: StreamFacts,
}

/// What the event that is read has said so far.
#[derive(Debug, Default)]
struct Event {
    /// The data's first bytes, one more than the end marker has.
    start: Vec<u8>,
    model: Option<ModelName>,
    usage: Usage,
    finished: bool,
    error: bool,
}

// === impl ChatStreamReader ===

impl Default for ChatStreamReader {
    fn default() -> Self {
        Self {
            splitter: Splitter::default(),
            events: EventReader {
                scanner: Scanner::new(&PATHS),
                event: Event::default(),
                model: None,
                usage: Usage::default(),
                stream: StreamFacts::default(),
            },
        }
    }
}

impl ChatStreamReader {
    /// After the end marker nothing counts.
    pub(super) fn wants_more(&self) -> bool {
        !self.events.stream.ended
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.splitter.feed(bytes, &mut |piece| self.events.read(piece));
    }

    pub(super) fn finish(&mut self) {
        self.splitter.finish(&mut |piece| self.events.read(piece));
    }

    pub(super) fn facts(&self) -> AnswerFacts {
        let EventReader {
            model, usage, stream, ..
        } = &self.events;
        AnswerFacts {
            model: model.clone(),
            input_tokens: usage.input,
            output_tokens: usage.output,
            stream: Some(*stream),
        }
    }
}

// === impl EventReader ===

impl EventReader {
    fn read(&mut self, piece: Piece<'_>) {
        if self.stream.ended {
            return;
        }
        match piece {
            Piece::Data(bytes) => {
                let room = END_MARKER.len() + 1 - self.event.start.len();
                self.event.start.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                self.scan(bytes);
            }
            Piece::End { name } => self.end_event(name),
        }
    }

    fn scan(&mut self, bytes: &[u8]) {
        let Event {
            start: _,
            model,
            usage,
            finished,
            error,
        } = &mut self.event;
        self.scanner.feed(bytes, &mut |field, value| match (field, value) {
            (_, Value::End) => {}
            (Field::Model, Value::Str(name)) if !name.is_empty() => *model = Some(name.to_vec()),
            (Field::Model, _) => *model = None,
            (Field::FinishReason, value) => *finished |= matches!(value, Value::Str(_)),
            (Field::Usage, _) => *usage = Usage::default(),
            (Field::InputTokens, value) => usage.input = count(value),
            (Field::OutputTokens, value) => usage.output = count(value),
            (Field::Error, value) => *error |= value != Value::Null,
            // As servers wrote an error before it had a key of its own.
            (Field::Object, value) => *error |= value == Value::Str(b"error"),
        });
    }

    fn end_event(&mut self, name: &[u8]) {
        let event = std::mem::take(&mut self.event);
        if event.start.trim_ascii() == END_MARKER {
            self.stream.ended = true;
        } else if self.scanner.progress() == Progress::Complete {
            self.usage.update(event.usage);
            self.stream.finished |= event.finished;
            self.stream.error |= event.error;
            if self.model.is_none() {
                self.model = event.model;
            }
        }
        self.stream.error |= name == b"error";
        self.scanner.restart();
    }
}
