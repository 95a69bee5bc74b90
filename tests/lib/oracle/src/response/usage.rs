//! Token counts as servers report them.

use crate::api::Api;
use crate::tree::Tree;

/// More tokens than any exchange has; a greater number counts as not reported.
const MAX_TOKENS: f64 = u32::MAX as f64;

/// The tokens of an exchange. `None` is not reported, and never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the prompt.
    pub input: Option<u64>,
    /// Generated, over all choices.
    pub output: Option<u64>,
    /// Of the prompt, read from a cache.
    pub cached_input: Option<u64>,
    /// Of the output, spent on reasoning.
    pub reasoning_output: Option<u64>,
    /// Seconds of audio, reported in place of tokens; a fraction is rounded up.
    pub audio_seconds: Option<u64>,
}

/// The counts of a usage object, by the names that the APIs have for them. A count of one name takes nothing from another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    cached_details: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    reasoning_details: Option<u64>,
    reasoning: Option<u64>,
    is_duration: bool,
    seconds: Option<u64>,
}

// === impl Counts ===

impl Counts {
    /// Reads a usage object.
    pub(super) fn read(object: Option<&Tree>) -> Self {
        let mut counts = Self::default();
        let Some(Tree::Object(members)) = object else {
            return counts;
        };
        let inside = |value: &Tree, key| value.last(&[key]).and_then(count);
        for (key, value) in members {
            match key.as_str() {
                "prompt_tokens" | "input_tokens" => counts.input = count(value),
                "completion_tokens" | "output_tokens" => counts.output = count(value),
                "cache_read_input_tokens" => counts.cache_read = count(value),
                "cache_creation_input_tokens" => counts.cache_creation = count(value),
                "reasoning_tokens" => counts.reasoning = count(value),
                "prompt_tokens_details" | "input_tokens_details" => {
                    counts.cached_details = inside(value, "cached_tokens");
                }
                "completion_tokens_details" | "output_tokens_details" => {
                    counts.reasoning_details = inside(value, "reasoning_tokens");
                }
                "type" => counts.is_duration = value.text() == Some("duration"),
                "seconds" => counts.seconds = seconds(value),
                _ => {}
            }
        }
        counts
    }

    /// Usage in a stream is cumulative: the last report of each count wins.
    pub(super) fn update(&mut self, later: Self) {
        *self = Self {
            input: later.input.or(self.input),
            output: later.output.or(self.output),
            cached_details: later.cached_details.or(self.cached_details),
            cache_read: later.cache_read.or(self.cache_read),
            cache_creation: later.cache_creation.or(self.cache_creation),
            reasoning_details: later.reasoning_details.or(self.reasoning_details),
            reasoning: later.reasoning.or(self.reasoning),
            // Streams have no durations.
            is_duration: false,
            seconds: None,
        };
    }

    /// Of an event that starts a message: its output is a placeholder, and so is an input of 0.
    pub(super) fn of_start(self) -> Self {
        Self {
            input: self.input.filter(|input| *input > 0),
            output: None,
            reasoning_details: None,
            reasoning: None,
            ..self
        }
    }

    /// The usage that these counts report. In Messages, what is read from the cache or written to it is beside the input.
    pub(super) fn usage(&self, api: Api) -> Usage {
        let cache = match api {
            Api::Messages => self.cache_read.unwrap_or(0) + self.cache_creation.unwrap_or(0),
            _ => 0,
        };
        let usage = Usage {
            input: self.input.map(|input| input + cache),
            output: self.output,
            cached_input: self.cached_details.or(self.cache_read),
            reasoning_output: self.reasoning_details.or(self.reasoning),
            audio_seconds: self.seconds.filter(|_| self.is_duration),
        };
        if api.generates() {
            usage
        } else {
            Usage {
                output: None,
                reasoning_output: None,
                ..usage
            }
        }
    }
}

fn seconds(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (0.0..=MAX_TOKENS).contains(&number).then_some(number.ceil() as u64)
}

/// A whole number from 0 up, in any way that JSON writes it.
pub(super) fn count(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}
