//! Owns what was decided for a request and the JSON answer that tells it, in the key order of vLLM 0.32.
//!
//! The JSON is written by hand: serde_json sorts keys, and a reader that leans on their order should be found out.

use std::borrow::Cow;

use serde_json::Value;

use crate::behaviour::UsageShape;
use crate::request::Kind;

/// vLLM's `system_fingerprint`: its version and a hash of its configuration.
pub(crate) const FINGERPRINT: &str = "vllm-0.32.0-51a0c0de";

/// Text of the tokens in turn: words, several bytes to a character, and characters that JSON escapes, so that a cut
/// may fall inside each of them.
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

/// Text of a token whose size was asked for.
const FILLER: &str = " a token of the size that was asked for";

/// What the server decided to answer.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    /// Tokens of each choice.
    pub(crate) tokens: u64,
    pub(crate) choices: u64,
    pub(crate) finish: Finish,
    pub(crate) words: Option<usize>,
}

/// Why a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
}

// === impl Decision ===

impl Decision {
    /// Tokens over all choices.
    pub(crate) fn completion_tokens(&self) -> u64 {
        self.tokens.saturating_mul(self.choices)
    }

    /// The text of one token.
    pub(crate) fn token(&self, place: u64) -> Cow<'static, str> {
        let turn = usize::try_from(place).unwrap_or(usize::MAX);
        match self.words {
            None => VOCABULARY
                .iter()
                .cycle()
                .nth(turn % VOCABULARY.len())
                .copied()
                .unwrap_or_default()
                .into(),
            Some(length) => {
                // The spaces let the text wrap where it is shown.
                let mut text = FILLER.repeat(length.div_ceil(FILLER.len()));
                text.truncate(length);
                text.into()
            }
        }
    }

    /// The text of several tokens as a JSON string.
    pub(crate) fn text(&self, tokens: std::ops::Range<u64>) -> String {
        let text: String = tokens.map(|place| self.token(place)).collect();
        Value::from(text).to_string()
    }

    /// The token counts as they stand in a usage object, without its braces.
    pub(crate) fn counts(&self, completion: u64) -> String {
        let prompt = self.prompt_tokens;
        let total = prompt.saturating_add(completion);
        format!(r#""prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{completion}"#)
    }

    /// The whole JSON answer.
    pub(crate) fn json(&self, usage: UsageShape) -> String {
        let Self {
            kind,
            id,
            created,
            model,
            prompt_tokens: _,
            tokens,
            choices,
            finish,
            words: _,
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
            UsageShape::Absent => String::new(),
            UsageShape::Null => r#","usage":null"#.to_owned(),
            UsageShape::AsAsked | UsageShape::Early | UsageShape::Repeat => format!(
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

// === impl Finish ===

impl Finish {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}
