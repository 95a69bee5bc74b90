//! Token usage as model servers report it.

use super::field::UsageField;
use crate::json::Value;

/// A higher count is treated as not reported: no exchange has so many tokens, and the sum of a histogram can't be repaired.
const MAX_TOKENS: f64 = u32::MAX as f64;

/// Token counts of a response. `None` if the model server does not report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens.
    pub input: Option<u64>,
    /// Completion tokens of all choices.
    pub output: Option<u64>,
    /// Prompt tokens read from a cache.
    pub cached_input: Option<u64>,
    /// Completion tokens spent on reasoning.
    pub reasoning_output: Option<u64>,
    /// Seconds of audio, where the model server reports a duration instead of tokens. A fraction is rounded up, as vLLM does.
    pub audio_seconds: Option<u64>,
}

/// One usage object, or the last values of several, under the names of all APIs. The same count may have several names,
/// and one that is not reported takes nothing from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportedUsage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    /// Of `prompt_tokens_details` or `input_tokens_details`.
    cached_input: Option<u64>,
    /// Of `completion_tokens_details` or `output_tokens_details`.
    reasoning_output: Option<u64>,
    /// SGLang's `usage.reasoning_tokens`.
    top_reasoning_output: Option<u64>,
    /// `cache_read_input_tokens`.
    cache_read: Option<u64>,
    /// `cache_creation_input_tokens`.
    cache_creation: Option<u64>,
    /// `type` is `duration`.
    is_duration: bool,
    seconds: Option<u64>,
}

/// The paths of a usage object in the object at `above`, and of its counts of the prompt, for all APIs. Chat and completions
/// have prompt and completion tokens, Responses and Messages have input and output tokens. Messages reports cached input
/// beside the input tokens.
macro_rules! input_usage_paths {
    ($field:path $(, $above:literal)?) => {
        $crate::response::usage::paths!(
            $field $(, $above)?;
            All [],
            Input ["prompt_tokens"],
            Input ["input_tokens"],
            CacheRead ["cache_read_input_tokens"],
            CacheCreation ["cache_creation_input_tokens"],
            InputDetails ["prompt_tokens_details"],
            InputDetails ["input_tokens_details"],
            CachedInput ["prompt_tokens_details", "cached_tokens"],
            CachedInput ["input_tokens_details", "cached_tokens"],
        )
    };
}
pub(super) use input_usage_paths;

/// The paths of the counts of the completion. SGLang reports reasoning tokens beside the completion tokens.
macro_rules! output_usage_paths {
    ($field:path $(, $above:literal)?) => {
        $crate::response::usage::paths!(
            $field $(, $above)?;
            Output ["completion_tokens"],
            Output ["output_tokens"],
            TopReasoningOutput ["reasoning_tokens"],
            OutputDetails ["completion_tokens_details"],
            OutputDetails ["output_tokens_details"],
            ReasoningOutput ["completion_tokens_details", "reasoning_tokens"],
            ReasoningOutput ["output_tokens_details", "reasoning_tokens"],
        )
    };
}
pub(super) use output_usage_paths;

/// The paths of a duration in place of tokens: audio. Only documents have it.
macro_rules! duration_paths {
    ($field:path) => {
        $crate::response::usage::paths!(
            $field;
            Type ["type"],
            Seconds ["seconds"],
        )
    };
}
pub(super) use duration_paths;

/// The paths of these fields of a usage object in the object at `above`.
macro_rules! paths {
    ($field:path; $($id:ident [$($key:literal),*],)+) => {
        &[$($crate::json::Path {
            id: $field($crate::response::field::UsageField::$id),
            segments: &[$crate::json::Segment::Key("usage") $(, $crate::json::Segment::Key($key))*],
        }),+]
    };
    ($field:path, $above:literal; $($id:ident [$($key:literal),*],)+) => {
        &[$($crate::json::Path {
            id: $field($crate::response::field::UsageField::$id),
            segments: &[
                $crate::json::Segment::Key($above),
                $crate::json::Segment::Key("usage")
                $(, $crate::json::Segment::Key($key))*
            ],
        }),+]
    };
}
pub(super) use paths;

// === impl ReportedUsage ===

impl ReportedUsage {
    /// Reads one value of a usage object. The last of duplicate keys counts, so the start of an object resets its values.
    pub(super) fn read(&mut self, field: UsageField, value: Value<'_>) {
        match (field, value) {
            (_, Value::End) => {}
            (UsageField::All, _) => *self = Self::default(),
            (UsageField::Input, value) => self.input = token_count(value),
            (UsageField::Output, value) => self.output = token_count(value),
            (UsageField::CachedInput, value) => self.cached_input = token_count(value),
            (UsageField::ReasoningOutput, value) => self.reasoning_output = token_count(value),
            (UsageField::TopReasoningOutput, value) => self.top_reasoning_output = token_count(value),
            (UsageField::CacheRead, value) => self.cache_read = token_count(value),
            (UsageField::CacheCreation, value) => self.cache_creation = token_count(value),
            (UsageField::Type, value) => self.is_duration = value == Value::Str(b"duration"),
            (UsageField::Seconds, value) => self.seconds = seconds(value),
            (UsageField::InputDetails, _) => self.cached_input = None,
            (UsageField::OutputDetails, _) => self.reasoning_output = None,
        }
    }

    /// Replaces the counts that `later` reports and keeps the others.
    pub(super) fn update(&mut self, later: Self) {
        let Self {
            input,
            output,
            cached_input,
            reasoning_output,
            top_reasoning_output,
            cache_read,
            cache_creation,
            // Only in documents.
            is_duration: _,
            seconds: _,
        } = later;
        self.input = input.or(self.input);
        self.output = output.or(self.output);
        self.cached_input = cached_input.or(self.cached_input);
        self.reasoning_output = reasoning_output.or(self.reasoning_output);
        self.top_reasoning_output = top_reasoning_output.or(self.top_reasoning_output);
        self.cache_read = cache_read.or(self.cache_read);
        self.cache_creation = cache_creation.or(self.cache_creation);
    }

    /// Of `message_start`, where servers that do not know the prompt's tokens yet send 0.
    pub(super) fn without_placeholder(self) -> Self {
        Self {
            input: self.input.filter(|tokens| *tokens > 0),
            ..self
        }
    }

    /// The counts of Messages: the prompt includes what was read from the cache and what was written to it, as in the other
    /// APIs.
    pub(super) fn messages_total(&self) -> Usage {
        let cache = [self.cache_read, self.cache_creation].into_iter().flatten();
        Usage {
            input: self.input.map(|input| cache.fold(input, u64::saturating_add)),
            ..self.total()
        }
    }

    /// The counts without their names.
    pub(super) fn total(&self) -> Usage {
        Usage {
            input: self.input,
            output: self.output,
            cached_input: self.cached_input.or(self.cache_read),
            reasoning_output: self.reasoning_output.or(self.top_reasoning_output),
            audio_seconds: self.seconds.filter(|_| self.is_duration),
        }
    }
}

// === impl Usage ===

impl Usage {
    /// Whether input or output tokens are reported.
    pub fn is_reported(&self) -> bool {
        self.input.or(self.output).is_some()
    }
}

/// A non-negative integer in any JSON notation (`12`, `12.0`, `1.2e1`). Anything else is treated as not reported.
pub(super) fn token_count(value: Value<'_>) -> Option<u64> {
    let Value::Number(digits) = value else { return None };
    if let Some(count) = short_integer(digits) {
        return Some(count);
    }
    let number = number(value)?;
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}

/// A non-negative number, rounded up. Anything else is treated as not reported.
fn seconds(value: Value<'_>) -> Option<u64> {
    let number = number(value)?;
    (0.0..=MAX_TOKENS).contains(&number).then_some(number.ceil() as u64)
}

fn number(value: Value<'_>) -> Option<f64> {
    let Value::Number(digits) = value else { return None };
    serde_json::from_slice::<serde_json::Value>(digits).ok()?.as_f64()
}

/// Fast path for the usual notation.
fn short_integer(digits: &[u8]) -> Option<u64> {
    // No number but 0 begins with it.
    if !matches!(digits, [b'1'..=b'9', ..] | b"0") || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |count, byte| {
        byte.is_ascii_digit().then(|| count * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_non_negative_integers_are_counts() {
        for (digits, tokens) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("1.2e1", Some(12)),
            ("120E-1", Some(12)),
            ("4294967295", Some(4_294_967_295)),
            ("4294967296", None),
            ("99999999999999999999", None),
            ("1e300", None),
            ("1e999", None),
            ("12.5", None),
            ("-1", None),
            ("1-2", None),
            ("01", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(token_count(Value::Number(digits.as_bytes())), tokens, "{digits}");
        }
        for value in [
            Value::Null,
            Value::Str(b"12"),
            Value::Bool(true),
            Value::Object,
            Value::Array,
            Value::End,
        ] {
            assert_eq!(token_count(value), None, "{value:?}");
        }
    }
}
