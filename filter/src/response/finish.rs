//! Why a model stopped, in the words of every API.

/// Choices whose finish reason is remembered, so that a server that repeats it is counted once. A batch of more
/// choices than this has all its reasons counted as they come.
const MAX_CHOICES: usize = 1024;

/// Why a choice is over: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model came to its end, or to a stop string.
    Stop,
    /// It ran into a limit of tokens.
    Length,
    /// It calls a tool.
    ToolCalls,
    /// What it said was held back.
    ContentFilter,
    /// It was broken off.
    Abort,
    /// It failed.
    Error,
    /// A reason that has no name here.
    Other,
}

/// How many choices ended for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishReasons([u32; FinishReason::ALL.len()]);

/// The choices of a stream that have given their reason.
#[derive(Debug, Default)]
pub(super) struct Finished {
    seen: Vec<u64>,
}

// === impl FinishReason ===

impl FinishReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Stop,
        Self::Length,
        Self::ToolCalls,
        Self::ContentFilter,
        Self::Abort,
        Self::Error,
        Self::Other,
    ];

    /// Its label value.
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

    /// What a server's word means: OpenAI's, Anthropic's, and those that vLLM and SGLang add.
    pub(super) fn from_wire(word: &[u8]) -> Self {
        match word {
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
    /// One more choice ended so.
    pub(crate) fn add(&mut self, reason: FinishReason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (FinishReason, u32)> {
        FinishReason::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }

    /// Whether any choice has given its reason.
    pub fn any(&self) -> bool {
        self.iter().next().is_some()
    }
}

// === impl Finished ===

impl Finished {
    /// Whether this is the first reason that the choice of this index gives.
    pub(super) fn is_first(&mut self, index: u16) -> bool {
        let index = usize::from(index);
        if index >= MAX_CHOICES {
            return true;
        }
        if self.seen.len() <= index / 64 {
            self.seen.resize(index / 64 + 1, 0);
        }
        let bit = 1 << (index % 64);
        self.seen.get_mut(index / 64).is_none_or(|word| {
            let first = *word & bit == 0;
            *word |= bit;
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_reason_is_its_own_row() {
        assert_eq!(
            FinishReason::ALL.map(|reason| reason as usize),
            std::array::from_fn(|row| row)
        );
    }

    #[test]
    fn a_choice_is_counted_once() {
        let mut finished = Finished::default();
        assert_eq!(
            [0, 1, 0, 63, 64, 64, 1023, 1023].map(|index| finished.is_first(index)),
            [true, true, false, true, true, false, true, false]
        );
        assert_eq!([1024, 1024, u16::MAX].map(|index| finished.is_first(index)), [true; 3]);
        assert!(finished.seen.len() <= MAX_CHOICES / 64);
    }
}
