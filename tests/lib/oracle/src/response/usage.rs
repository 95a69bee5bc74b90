//! Token counts as servers report them.

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
}

// === impl Usage ===

impl Usage {
    /// Reads a usage object, in which each count has any of the names that the APIs have for it.
    pub(super) fn read(object: Option<&Tree>) -> Self {
        let mut usage = Self::default();
        let Some(Tree::Object(members)) = object else {
            return usage;
        };
        let inside = |value: &Tree, key| value.last(&[key]).and_then(count);
        for (key, value) in members {
            match key.as_str() {
                "prompt_tokens" | "input_tokens" => usage.input = count(value),
                "completion_tokens" | "output_tokens" => usage.output = count(value),
                "cache_read_input_tokens" => usage.cached_input = count(value),
                "prompt_tokens_details" | "input_tokens_details" => usage.cached_input = inside(value, "cached_tokens"),
                "completion_tokens_details" | "output_tokens_details" => {
                    usage.reasoning_output = inside(value, "reasoning_tokens");
                }
                _ => {}
            }
        }
        usage
    }

    /// Usage in a stream is cumulative: the last report of each count wins.
    pub(super) fn update(&mut self, later: Self) {
        let Self {
            input,
            output,
            cached_input,
            reasoning_output,
        } = later;
        self.input = input.or(self.input);
        self.output = output.or(self.output);
        self.cached_input = cached_input.or(self.cached_input);
        self.reasoning_output = reasoning_output.or(self.reasoning_output);
    }

    /// The same without the counts of the output.
    pub(super) fn without_output(self) -> Self {
        Self {
            output: None,
            reasoning_output: None,
            ..self
        }
    }
}

/// A whole number from 0 up, in any way that JSON writes it.
pub(super) fn count(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}
