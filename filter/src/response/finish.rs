//! Finish reasons of all APIs, mapped to one closed set.

/// Choices whose finish reason is remembered, so that a repeated one is counted once. The reasons of choices with a higher
/// index are counted as often as they occur.
const MAX_CHOICES: usize = 1024;

/// Why a choice finished: the values of `finish_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// An end-of-sequence token or a stop string.
    Stop,
    /// A token limit.
    Length,
    /// The model calls a tool.
    ToolCalls,
    /// Content was filtered, or the model refused.
    ContentFilter,
    /// The request was aborted or cancelled.
    Abort,
    /// Generation failed.
    Error,
    /// Any other reason.
    Other,
}

/// The number of finished choices for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishReasons([u32; FinishReason::ALL.len()]);

/// The choices of a stream by index: which have started, and which have finished.
#[derive(Debug, Default)]
pub(super) struct Choices {
    started: ChoiceSet,
    finished: ChoiceSet,
    /// A choice with a higher index than is kept has started.
    is_beyond: bool,
}

/// One bit per choice.
#[derive(Debug, Default, PartialEq, Eq)]
struct ChoiceSet(Vec<u64>);

// === impl FinishReason ===

impl FinishReason {
    pub(crate) const ALL: [Self; 7] = [
        Self::Stop,
        Self::Length,
        Self::ToolCalls,
        Self::ContentFilter,
        Self::Abort,
        Self::Error,
        Self::Other,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    /// Maps the values of OpenAI's and Anthropic's APIs and those that vLLM and SGLang add.
    pub(super) fn from_wire(value: &[u8]) -> Self {
        match value {
            b"stop" | b"end_turn" | b"stop_sequence" | b"completed" => Self::Stop,
            b"length" | b"max_tokens" | b"max_output_tokens" | b"model_context_window_exceeded" => Self::Length,
            b"tool_calls" | b"function_call" | b"tool_use" => Self::ToolCalls,
            b"content_filter" | b"refusal" => Self::ContentFilter,
            b"abort" | b"cancelled" => Self::Abort,
            b"error" | b"failed" => Self::Error,
            _ => Self::Other,
        }
    }
}

// === impl FinishReasons ===

impl FinishReasons {
    pub(crate) fn add(&mut self, reason: FinishReason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// The reasons with a count above 0.
    pub fn iter(&self) -> impl Iterator<Item = (FinishReason, u32)> {
        FinishReason::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }

    /// Whether any choice has finished with a reason.
    pub fn any(&self) -> bool {
        self.iter().next().is_some()
    }
}

// === impl Choices ===

impl Choices {
    pub(super) fn start(&mut self, index: u16) {
        if usize::from(index) < MAX_CHOICES {
            self.started.insert(index);
        } else {
            self.is_beyond = true;
        }
    }

    /// Returns whether this is the choice's first finish reason. A choice with a higher index than is kept has many.
    pub(super) fn finish(&mut self, index: u16) -> bool {
        self.start(index);
        usize::from(index) >= MAX_CHOICES || self.finished.insert(index)
    }

    /// Whether a choice has started, and all that have started have finished.
    pub(super) fn all_finished(&self) -> bool {
        !self.is_beyond && !self.started.0.is_empty() && self.started == self.finished
    }
}

// === impl ChoiceSet ===

impl ChoiceSet {
    /// Adds a choice; returns whether it was not in the set.
    fn insert(&mut self, index: u16) -> bool {
        let index = usize::from(index);
        if self.0.len() <= index / 64 {
            self.0.resize(index / 64 + 1, 0);
        }
        let bit = 1 << (index % 64);
        self.0.get_mut(index / 64).is_none_or(|word| {
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn reason_indexes_its_count() {
        assert_eq!(
            FinishReason::ALL.map(|reason| reason as usize),
            std::array::from_fn(|row| row)
        );
    }

    #[test]
    fn choice_is_counted_once() {
        let mut choices = Choices::default();
        assert_eq!(
            [0, 1, 0, 63, 64, 64, 1023, 1023].map(|index| choices.finish(index)),
            [true, true, false, true, true, false, true, false]
        );
        assert_eq!([1024, 1024, u16::MAX].map(|index| choices.finish(index)), [true; 3]);
        assert!(choices.finished.0.len() <= MAX_CHOICES / 64);
    }

    #[test]
    fn all_have_finished_when_those_that_started_have() {
        let mut choices = Choices::default();
        assert!(!choices.all_finished());
        choices.start(2);
        choices.finish(0);
        assert!(!choices.all_finished());
        choices.finish(2);
        assert!(choices.all_finished());
        choices.start(70);
        assert!(!choices.all_finished());
        choices.finish(70);
        assert!(choices.all_finished());
        choices.finish(5000);
        assert!(!choices.all_finished());
    }
}
