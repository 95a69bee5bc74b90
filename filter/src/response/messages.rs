//! Events of an Anthropic Messages stream. `message_start` has the model and the input tokens, `message_delta` the
//! cumulative output tokens and the stop reason; there is no `[DONE]`.

use super::events::{Dialect, Totals};
use super::field::Field;
use super::finish::FinishReason;
use super::usage::{ReportedUsage, Usage, input_usage_paths, output_usage_paths};
use crate::json::{Path, Paths, Segment::Key, Value};

#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The stop reason has been counted.
    stopped: bool,
}

#[derive(Debug, Default)]
pub(super) struct Event {
    kind: Option<Kind>,
    start_usage: ReportedUsage,
    stop: Option<FinishReason>,
}

/// The event types that are handled, beside the values of any event.
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
    // Some servers and proxies report errors of every API in this form.
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
    const PATHS: &'static Paths<Field> = &Paths::new(&[
        PATHS,
        input_usage_paths!(Field::Usage),
        output_usage_paths!(Field::Usage),
        input_usage_paths!(Field::StartUsage, "message"),
    ]);

    type Event = Event;

    fn read(event: &mut Event, field: Field, value: Value<'_>) {
        match (field, value) {
            (Field::Type, Value::Str(name)) => event.kind = Kind::from_wire(name),
            (Field::Type, _) => event.kind = None,
            (Field::StopReason, Value::Str(value)) => event.stop = Some(FinishReason::from_wire(value)),
            (Field::StopReason, _) => event.stop = None,
            (Field::StartUsage(field), value) => event.start_usage.read(field, value),
            // Not in this reader's paths.
            _ => {}
        }
    }

    fn commit(&mut self, event: Event, usage: ReportedUsage, name: &[u8], totals: &mut Totals) {
        let Event {
            kind,
            start_usage,
            stop,
        } = event;
        // Its output tokens are a placeholder, too, which no path selects.
        totals.usage.update(start_usage.without_placeholder());
        totals.usage.update(usage);
        if let Some(reason) = stop
            && !std::mem::replace(&mut self.stopped, true)
        {
            totals.finish_reasons.add(reason);
        }
        match kind.or_else(|| Kind::from_wire(name)) {
            Some(Kind::Stop) => totals.state.done = true,
            Some(Kind::Error) => totals.state.error = true,
            None => {}
        }
    }

    fn is_finished(&self) -> bool {
        self.stopped
    }

    fn usage(&self, totals: &Totals) -> Usage {
        totals.usage.messages_total()
    }
}
