//! The events of Anthropic's Messages API: the first one holds the model and the input's tokens, the last but one those of
//! the output, cumulative, and why it stopped. There is no `[DONE]`.

use super::events::{Dialect, Stream};
use super::field::Field;
use super::finish::FinishReason;
use super::usage::{Usage, usage_paths};
use crate::json::{Path, Segment::Key, Value};

/// Whether the message has said why it stopped.
#[derive(Debug, Default)]
pub(super) struct Messages {
    stopped: bool,
}

#[derive(Debug, Default)]
pub(super) struct Event {
    kind: Option<Kind>,
    start_usage: Usage,
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
        segments: &[Key("type")],
    },
    // As servers of several APIs, and proxies, say that they have failed.
    Path {
        id: Field::Error,
        segments: &[Key("error")],
    },
    Path {
        id: Field::Model,
        segments: &[Key("message"), Key("model")],
    },
    Path {
        id: Field::StopReason,
        segments: &[Key("delta"), Key("stop_reason")],
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

    type Event = Event;

    fn read(event: &mut Event, field: Field, value: Value<'_>) {
        match (field, value) {
            (Field::Type, Value::Str(name)) => event.kind = Kind::from_wire(name),
            (Field::Type, _) => event.kind = None,
            (Field::StopReason, Value::Str(word)) => event.stop = Some(FinishReason::from_wire(word)),
            (Field::StopReason, _) => event.stop = None,
            (Field::StartUsage(field), value) => event.start_usage.read(field, value),
            // At no path of this reader.
            _ => {}
        }
    }

    fn commit(&mut self, event: Event, name: &[u8], stream: &mut Stream) {
        let Event {
            kind,
            start_usage,
            stop,
        } = event;
        // At the start the output is a place holder, not a count.
        stream.usage.update(Usage {
            output: None,
            reasoning_output: None,
            ..start_usage
        });
        if let Some(reason) = stop
            && !std::mem::replace(&mut self.stopped, true)
        {
            stream.finish_reasons.add(reason);
        }
        match kind.or_else(|| Kind::from_wire(name)) {
            Some(Kind::Stop) => stream.facts.ended = true,
            Some(Kind::Error) => stream.facts.error = true,
            None => {}
        }
    }
}
