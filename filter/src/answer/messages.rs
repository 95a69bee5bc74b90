//! The events of Anthropic's Messages API: the first one holds the model and the input's tokens, the last but one those of
//! the output, cumulative, and why it stopped. There is no `[DONE]`.

use super::events::{Dialect, Stream};
use super::field::Field;
use super::finish::{FinishReason, Finished};
use super::usage::{Usage, usage_paths};
use crate::json::{Path, Seg::Key, Value};
use crate::request::ModelName;

#[derive(Debug, Default)]
pub(super) struct Messages {
    finished: Finished,
    event: Event,
}

#[derive(Debug, Default)]
struct Event {
    kind: Option<Kind>,
    error: bool,
    model: Option<ModelName>,
    start_usage: Usage,
    usage: Usage,
    stop: Option<FinishReason>,
}

/// The kinds of event that matter beyond what they hold.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Stop,
    Error,
}

const PATHS: &[Path<Field>] = &[
    Path {
        id: Field::Type,
        segs: &[Key("type")],
    },
    // As servers of several APIs, and proxies, say that they have failed.
    Path {
        id: Field::Error,
        segs: &[Key("error")],
    },
    Path {
        id: Field::Model,
        segs: &[Key("message"), Key("model")],
    },
    Path {
        id: Field::StopReason,
        segs: &[Key("delta"), Key("stop_reason")],
    },
];

// === impl Kind ===

impl Kind {
    fn from_wire(name: &[u8]) -> Option<Self> {
        match name {
            b"message_stop" => Some(Self::Stop),
            b"error" => Some(Self::Error),
            _ => None,
        }
    }
}

// === impl Messages ===

impl Dialect for Messages {
    const PATHS: &'static [&'static [Path<Field>]] = &[
        PATHS,
        usage_paths!(Field::Usage),
        usage_paths!(Field::StartUsage, "message"),
    ];

    fn read(&mut self, field: Field, value: Value<'_>) {
        let Event {
            kind,
            error,
            model,
            start_usage,
            usage,
            stop,
        } = &mut self.event;
        match (field, value) {
            (Field::Type, Value::Str(name)) => *kind = Kind::from_wire(name),
            (Field::Type, _) => *kind = None,
            (Field::Error, value) => *error |= value != Value::Null,
            (Field::Model, Value::Str(name)) if !name.is_empty() => *model = Some(name.to_vec()),
            (Field::Model, _) => *model = None,
            (Field::StopReason, Value::Str(word)) => *stop = Some(FinishReason::from_wire(word)),
            (Field::StopReason, _) => *stop = None,
            (Field::StartUsage(field), value) => start_usage.read(field, value),
            (Field::Usage(field), value) => usage.read(field, value),
            // At no path of this reader.
            _ => {}
        }
    }

    fn commit(&mut self, name: &[u8], stream: &mut Stream) {
        let Event {
            kind,
            error,
            model,
            start_usage,
            usage,
            stop,
        } = std::mem::take(&mut self.event);
        // At the start the output is a place holder, not a count.
        stream.usage.update(Usage {
            output: None,
            reasoning_output: None,
            ..start_usage
        });
        stream.usage.update(usage);
        stream.facts.error |= error;
        if stream.model.is_none() {
            stream.model = model;
        }
        if let Some(reason) = stop.filter(|_| self.finished.is_first(0)) {
            stream.finish_reasons.add(reason);
        }
        match kind.or_else(|| Kind::from_wire(name)) {
            Some(Kind::Stop) => stream.facts.ended = true,
            Some(Kind::Error) => stream.facts.error = true,
            None => {}
        }
    }

    fn discard(&mut self) {
        self.event = Event::default();
    }
}
