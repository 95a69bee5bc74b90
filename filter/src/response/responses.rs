//! The events of OpenAI's Responses API: the last one holds the whole response with its usage. There is no `[DONE]`.

use super::events::{Dialect, Stream};
use super::field::Field;
use super::finish::FinishReason;
use super::usage::usage_paths;
use crate::json::{Path, Segment::Key, Value};

#[derive(Debug, Default)]
pub(super) struct Responses;

#[derive(Debug, Default)]
pub(super) struct Event {
    kind: Option<Kind>,
    status: Option<FinishReason>,
    incomplete: Option<FinishReason>,
}

/// The kinds of event that matter.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The response is over, for this reason unless it names a better one.
    End(FinishReason),
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
        segments: &[Key("response"), Key("model")],
    },
    Path {
        id: Field::Status,
        segments: &[Key("response"), Key("status")],
    },
    Path {
        id: Field::IncompleteReason,
        segments: &[Key("response"), Key("incomplete_details"), Key("reason")],
    },
];

// === impl Kind ===

impl Kind {
    fn from_wire(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"response.completed" => Self::End(FinishReason::Stop),
            b"response.incomplete" => Self::End(FinishReason::Length),
            b"response.failed" => Self::End(FinishReason::Error),
            b"response.cancelled" => Self::End(FinishReason::Abort),
            b"error" => Self::Error,
            _ => return None,
        })
    }
}

// === impl Responses ===

impl Dialect for Responses {
    const PATHS: &'static [&'static [Path<Field>]] = &[PATHS, usage_paths!(Field::Usage, "response")];

    type Event = Event;

    fn read(event: &mut Event, field: Field, value: Value<'_>) {
        let reason = match value {
            Value::Str(word) => Some(FinishReason::from_wire(word)),
            _ => None,
        };
        match (field, value) {
            (Field::Type, Value::Str(name)) => event.kind = Kind::from_wire(name),
            (Field::Type, _) => event.kind = None,
            (Field::Status, _) => event.status = reason,
            (Field::IncompleteReason, _) => event.incomplete = reason,
            // At no path of this reader.
            _ => {}
        }
    }

    fn commit(&mut self, event: Event, name: &[u8], stream: &mut Stream) {
        let Event {
            kind,
            status,
            incomplete,
        } = event;
        match kind.or_else(|| Kind::from_wire(name)) {
            Some(Kind::End(reason)) => {
                // vLLM calls the event completed even where the response says that it ran into its limit.
                stream.finish_reasons.add(incomplete.or(status).unwrap_or(reason));
                stream.facts.error |= matches!(reason, FinishReason::Error);
                stream.facts.ended = true;
            }
            Some(Kind::Error) => stream.facts.error = true,
            None => {}
        }
    }
}
