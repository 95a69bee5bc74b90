//! Owns a completion: its text, its token counts and its JSON response, with keys in the order of vLLM 0.32.
//!
//! The JSON is written by hand: serde_json sorts keys, which would hide a reader that depends on their order.

use std::borrow::Cow;

use serde_json::Value;

use crate::behaviour::UsagePlacement;
use crate::inference_request::{Finish, Kind};

/// vLLM's `system_fingerprint`: version and configuration hash.
pub(crate) const FINGERPRINT: &str = "vllm-0.32.0-51a0c0de";

/// The texts of the tokens, in turn. They have multi-byte characters and characters that JSON escapes, so that cuts fall
/// inside those too.
const VOCABULARY: [&str; 12] = [
    " the",
    " \"quoted\"",
    " naïve",
    "\n",
    " 日本",
    " a\\b",
    " 🦀",
    " {\"k\": 1}",
    "\u{1}",
    " über",
    "",
    " end.",
];

/// Text of tokens with a requested size. It has spaces, so that it wraps where it is shown.
const FILLER: &str = " a token of the size that was requested";

#[derive(Debug, Clone)]
pub(crate) struct Completion {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    /// Tokens of each choice.
    pub(crate) tokens: u64,
    pub(crate) choices: u64,
    pub(crate) finish: Finish,
    pub(crate) token_bytes: Option<usize>,
}

// === impl Completion ===

impl Completion {
    /// The tokens of all choices.
    pub(crate) fn completion_tokens(&self) -> u64 {
        self.tokens.saturating_mul(self.choices)
    }

    fn token(&self, index: u64) -> Cow<'static, str> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match self.token_bytes {
            None => VOCABULARY
                .iter()
                .cycle()
                .nth(index % VOCABULARY.len())
                .copied()
                .unwrap_or_default()
                .into(),
            Some(length) => {
                let mut text = FILLER.repeat(length.div_ceil(FILLER.len()));
                text.truncate(length);
                text.into()
            }
        }
    }

    /// The text of a range of tokens, as a JSON string.
    pub(crate) fn text(&self, tokens: std::ops::Range<u64>) -> String {
        let text: String = tokens.map(|index| self.token(index)).collect();
        Value::from(text).to_string()
    }

    /// The members of a usage object.
    pub(crate) fn counts(&self, completion: u64) -> String {
        let prompt = self.prompt_tokens;
        let total = prompt.saturating_add(completion);
        format!(r#""prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{completion}"#)
    }

    /// The body of a response that is not streamed.
    pub(crate) fn json(&self, usage: UsagePlacement) -> String {
        let Self {
            kind,
            id,
            created,
            model,
            prompt_tokens: _,
            tokens,
            choices,
            finish,
            token_bytes: _,
        } = self;
        let model = Value::from(model.as_str());
        let finish = finish.as_str();
        let text = self.text(0..*tokens);
        let choice = |index: u64| match kind {
            Kind::Chat => format!(
                r#"{{"index":{index},"message":{{"role":"assistant","content":{text},"refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null}},"logprobs":null,"finish_reason":"{finish}","stop_reason":null,"token_ids":null,"routed_experts":null}}"#
            ),
            Kind::Completions => format!(
                r#"{{"index":{index},"text":{text},"logprobs":null,"finish_reason":"{finish}","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null,"routed_experts":null}}"#
            ),
        };
        let choices = (0..*choices).map(choice).collect::<Vec<_>>().join(",");
        let usage = match usage {
            UsagePlacement::Absent => String::new(),
            UsagePlacement::Null => r#","usage":null"#.to_owned(),
            UsagePlacement::AsRequested | UsagePlacement::Early | UsagePlacement::Repeat => format!(
                r#","usage":{{{},"prompt_tokens_details":null,"completion_tokens_details":null}}"#,
                self.counts(self.completion_tokens())
            ),
        };
        let (object, echo) = match kind {
            Kind::Chat => (
                "chat.completion",
                r#","prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null"#,
            ),
            Kind::Completions => ("text_completion", ""),
        };
        format!(
            r#"{{"id":"{id}","object":"{object}","created":{created},"model":{model},"choices":[{choices}],"service_tier":null,"system_fingerprint":"{FINGERPRINT}"{usage}{echo},"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}}"#
        )
    }
}
