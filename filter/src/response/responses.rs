//! Events of an OpenAI Responses stream. The last one has the complete response with its usage; there is no `[DONE]`.

use super::events::{Dialect, Totals};
use super::field::Field;
use super::finish::FinishReason;
use super::usage::{ReportedUsage, input_usage_paths, output_usage_paths};
use crate::json::{Path, Paths, Segment::Key, Value};

#[derive(Debug, Default)]
pub(super) struct Responses {
    /// The last event was received.
    ended: bool,
}

#[derive(Debug, Default)]
pub(super) struct Event {
    kind: Option<Kind>,
    status: Option<FinishReason>,
    incomplete: Option<FinishReason>,
}

/// The event types that are handled.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The last event. The reason applies unless the response has a more specific one.
    End(FinishReason),
    Error,
}

const PATHS: &[Path<Field>] = &[
    Path {
        id: Field::Type,
        segments: &[Key("type")],
    },
    // Some servers and proxies report errors of every API in this form.
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
    const PATHS: &'static Paths<Field> = &Paths::new(&[
        PATHS,
        input_usage_paths!(Field::Usage, "response"),
        output_usage_paths!(Field::Usage, "response"),
    ]);

    type Event = Event;

    fn read(event: &mut Event, field: Field, value: Value<'_>) {
        let reason = match value {
            Value::Str(value) => Some(FinishReason::from_wire(value)),
            _ => None,
        };
        match (field, value) {
            (Field::Type, Value::Str(name)) => event.kind = Kind::from_wire(name),
            (Field::Type, _) => event.kind = None,
            (Field::Status, _) => event.status = reason,
            (Field::IncompleteReason, _) => event.incomplete = reason,
            // Not in this reader's paths.
            _ => {}
        }
    }

    fn commit(&mut self, event: Event, usage: ReportedUsage, name: &[u8], totals: &mut Totals) {
        let Event {
            kind,
            status,
            incomplete,
        } = event;
        totals.usage.update(usage);
        match kind.or_else(|| Kind::from_wire(name)) {
            Some(Kind::End(reason)) => {
                // vLLM sends `response.completed` even if the response's status is incomplete.
                totals.finish_reasons.add(incomplete.or(status).unwrap_or(reason));
                totals.state.error |= matches!(reason, FinishReason::Error);
                totals.state.done = true;
                self.ended = true;
            }
            Some(Kind::Error) => totals.state.error = true,
            None => {}
        }
    }

    fn is_finished(&self) -> bool {
        self.ended
    }
}
