//! Events of a chat or completions stream. Each has the model and deltas of some choices; the last one before `[DONE]` may
//! have the usage of all choices.

use super::events::{Dialect, Totals};
use super::field::Field;
use super::finish::{FinishReason, FinishedChoices};
use super::usage::{token_count, usage_paths};
use crate::json::{Path, Segment, Segment::Key, Value};

/// Finish reasons kept of one event; further ones are ignored. Servers send an event for each choice, or a few in one.
const MAX_REASONS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Chat(FinishedChoices);

#[derive(Debug, Default)]
pub(super) struct Event {
    choice: Choice,
    reasons: Vec<(u16, FinishReason)>,
    token_ids: Option<u64>,
    /// `object` is `error`, as older servers report errors.
    error: bool,
}

#[derive(Debug, Default)]
struct Choice {
    /// Higher indexes share `u16::MAX`; no server generates so many choices.
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
                choice.index = token_count(value).map_or(0, |index| u16::try_from(index).unwrap_or(u16::MAX))
            }
            (Field::FinishReason, Value::Str(value)) => choice.reason = Some(FinishReason::from_wire(value)),
            (Field::FinishReason, _) => choice.reason = None,
            (Field::TokenIds, Value::Array) => *token_ids = token_ids.or(Some(0)),
            (Field::TokenIds, _) => {}
            (Field::TokenId, _) => *token_ids = token_ids.map(|ids| ids.saturating_add(1)),
            (Field::Object, value) => *error |= value == Value::Str(b"error"),
            // Not in this reader's paths.
            _ => {}
        }
    }

    fn commit(&mut self, event: Event, _name: &[u8], totals: &mut Totals) {
        let Event {
            choice: _,
            reasons,
            token_ids,
            error,
        } = event;
        totals.state.error |= error;
        for (index, reason) in reasons {
            if self.0.insert(index) {
                totals.finish_reasons.add(reason);
            }
        }
        if let Some(ids) = token_ids {
            totals.counted_output = Some(totals.counted_output.unwrap_or_default().saturating_add(ids));
        }
    }
}
