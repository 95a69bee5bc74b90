//! The events of a chat or completions stream: every one holds the model and a piece of some choices; the last one before
//! the end marker may hold the usage of all.

use super::events::{Dialect, Stream};
use super::field::Field;
use super::finish::{FinishReason, Finished};
use super::usage::{count, usage_paths};
use crate::json::{Path, Segment, Segment::Key, Value};

/// Finish reasons that one event may give. A server sends one event for each choice, or a few in one.
const MAX_REASONS: usize = 1024;

/// The choices that have ended.
#[derive(Debug, Default)]
pub(super) struct Chat(Finished);

#[derive(Debug, Default)]
pub(super) struct Event {
    choice: Choice,
    reasons: Vec<(u16, FinishReason)>,
    token_ids: Option<u64>,
    /// It calls itself an error, as servers did before an error had a key of its own.
    error: bool,
}

#[derive(Debug, Default)]
struct Choice {
    /// Those above are no choice of any server; they share one number.
    index: u16,
    reason: Option<FinishReason>,
}

const PATHS: &[Path<Field>] = &[
    Path {
        id: Field::Model,
        segments: &[Key("model")],
    },
    Path {
        id: Field::Choice,
        segments: &[Key("choices"), Segment::Each],
    },
    Path {
        id: Field::Index,
        segments: &[Key("choices"), Segment::Each, Key("index")],
    },
    Path {
        id: Field::FinishReason,
        segments: &[Key("choices"), Segment::Each, Key("finish_reason")],
    },
    Path {
        id: Field::TokenIds,
        segments: &[Key("choices"), Segment::Each, Key("token_ids")],
    },
    Path {
        id: Field::TokenId,
        segments: &[Key("choices"), Segment::Each, Key("token_ids"), Segment::Each],
    },
    Path {
        id: Field::Error,
        segments: &[Key("error")],
    },
    Path {
        id: Field::Object,
        segments: &[Key("object")],
    },
];

// === impl Chat ===

impl Dialect for Chat {
    const PATHS: &'static [&'static [Path<Field>]] = &[PATHS, usage_paths!(Field::Usage)];

    type Event = Event;

    fn read(event: &mut Event, field: Field, value: Value<'_>) {
        let Event {
            choice,
            reasons,
            token_ids,
            error,
        } = event;
        match (field, value) {
            (Field::Choice, Value::End) => {
                if let Some(reason) = choice.reason.filter(|_| reasons.len() < MAX_REASONS) {
                    reasons.push((choice.index, reason));
                }
            }
            (_, Value::End) => {}
            (Field::Choice, _) => *choice = Choice::default(),
            (Field::Index, value) => {
                choice.index = count(value).map_or(0, |index| u16::try_from(index).unwrap_or(u16::MAX))
            }
            (Field::FinishReason, Value::Str(word)) => choice.reason = Some(FinishReason::from_wire(word)),
            (Field::FinishReason, _) => choice.reason = None,
            (Field::TokenIds, Value::Array) => *token_ids = token_ids.or(Some(0)),
            (Field::TokenIds, _) => {}
            (Field::TokenId, _) => *token_ids = token_ids.map(|ids| ids.saturating_add(1)),
            (Field::Object, value) => *error |= value == Value::Str(b"error"),
            // At no path of this reader.
            _ => {}
        }
    }

    fn commit(&mut self, event: Event, _name: &[u8], stream: &mut Stream) {
        let Event {
            choice: _,
            reasons,
            token_ids,
            error,
        } = event;
        stream.facts.error |= error;
        for (index, reason) in reasons {
            if self.0.is_first(index) {
                stream.finish_reasons.add(reason);
            }
        }
        if let Some(ids) = token_ids {
            stream.counted_output = Some(stream.counted_output.unwrap_or_default().saturating_add(ids));
        }
    }
}
