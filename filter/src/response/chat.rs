//! Events of a chat or completions stream. Each has the model and deltas of some choices; the last one before `[DONE]` may
//! have the usage of all choices.
//!
//! With `continuous_usage_stats` every event has a usage. That of an event with one choice is of this choice only (vLLM and
//! SGLang with n > 1), that of any other event is of all choices.

use super::events::{Dialect, Totals};
use super::field::Field;
use super::finish::{Choices, FinishReason};
use super::usage::{ReportedUsage, Usage, input_usage_paths, output_usage_paths, token_count};
use crate::json::{Path, Paths, Segment, Segment::Key, Value};

/// Choices and finish reasons kept of one event; further ones are ignored. Servers send an event for each choice, or a few in one.
const MAX_REASONS: usize = 1024;

/// Choices whose usage is kept, in 16 bytes each: as many as OpenAI's API accepts in `n`. The output of a stream with more
/// is unknown until the usage of all choices arrives.
const MAX_USAGE_CHOICES: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Chat {
    choices: Choices,
    usage: ChoiceUsage,
}

/// The usage of events with one choice.
#[derive(Debug, Default)]
struct ChoiceUsage {
    /// The prompt is the same for all choices.
    last: ReportedUsage,
    outputs: Vec<ChoiceOutput>,
    /// More choices than are kept have reported output.
    overflow: bool,
}

/// Fits in 16 bytes: a count that [`token_count`] accepts fits in `u32`.
#[derive(Debug)]
struct ChoiceOutput {
    index: u16,
    output: Option<u32>,
    reasoning: u32,
}

#[derive(Debug, Default)]
pub(super) struct Event {
    choice: Choice,
    /// Number of choices in this event.
    choices: u32,
    /// Indexes of the choices before the current one.
    earlier: Vec<u16>,
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
        id: Field::Choices,
        segments: &[Key("choices")],
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
    const PATHS: &'static Paths<Field> = &Paths::new(&[
        PATHS,
        input_usage_paths!(Field::Usage),
        output_usage_paths!(Field::Usage),
    ]);

    type Event = Event;

    fn read(event: &mut Event, field: Field, value: Value<'_>) {
        let Event {
            choice,
            choices,
            earlier,
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
            (Field::Choices, _) => *choices = 0,
            (Field::Choice, _) => {
                if *choices > 0 && earlier.len() < MAX_REASONS {
                    earlier.push(choice.index);
                }
                *choice = Choice::default();
                *choices = choices.saturating_add(1);
            }
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

    fn commit(&mut self, event: Event, usage: ReportedUsage, _name: &[u8], totals: &mut Totals) {
        let Event {
            choice,
            choices,
            earlier,
            reasons,
            token_ids,
            error,
        } = event;
        if choices == 1 {
            self.usage.update(choice.index, usage);
        } else {
            totals.usage.update(usage);
        }
        for index in earlier.into_iter().chain((choices > 0).then_some(choice.index)) {
            self.choices.start(index);
        }
        totals.state.error |= error;
        for (index, reason) in reasons {
            if self.choices.finish(index) {
                totals.finish_reasons.add(reason);
            }
        }
        if let Some(ids) = token_ids {
            totals.counted_output = Some(totals.counted_output.unwrap_or_default().saturating_add(ids));
        }
    }

    fn is_finished(&self) -> bool {
        self.choices.all_finished()
    }

    /// The usage of all choices, where it is reported, precedes the sums over the choices.
    fn usage(&self, totals: &Totals) -> Usage {
        let (all, sums) = (totals.usage.total(), self.usage.total());
        Usage {
            input: all.input.or(sums.input),
            output: all.output.or(sums.output),
            cached_input: all.cached_input.or(sums.cached_input),
            reasoning_output: all.reasoning_output.or(sums.reasoning_output),
            audio_seconds: None,
        }
    }
}

// === impl ChoiceUsage ===

impl ChoiceUsage {
    fn update(&mut self, index: u16, usage: ReportedUsage) {
        self.last.update(usage);
        let Usage {
            output,
            reasoning_output,
            ..
        } = usage.total();
        let [output, reasoning] =
            [output, reasoning_output].map(|tokens| tokens.and_then(|tokens| tokens.try_into().ok()));
        if output.or(reasoning).is_none() {
            return;
        }
        let kept = self.outputs.len();
        match self.outputs.iter_mut().find(|choice| choice.index == index) {
            Some(choice) => {
                choice.output = output.or(choice.output);
                choice.reasoning = reasoning.unwrap_or(choice.reasoning);
            }
            None if kept < MAX_USAGE_CHOICES => self.outputs.push(ChoiceOutput {
                index,
                output,
                reasoning: reasoning.unwrap_or_default(),
            }),
            None => self.overflow = true,
        }
    }

    fn total(&self) -> Usage {
        let last = self.last.total();
        let sum = |tokens: fn(&ChoiceOutput) -> Option<u32>| {
            let counts = self.outputs.iter().filter_map(tokens).map(u64::from);
            counts.reduce(|sum, count| sum + count).filter(|_| !self.overflow)
        };
        Usage {
            output: sum(|choice| choice.output),
            reasoning_output: last.reasoning_output.and_then(|_| sum(|choice| Some(choice.reasoning))),
            ..last
        }
    }
}
