//! Owns what an inference request asks for, read and refused as vLLM does. Which models exist is not known here.
//!
//! Prompt tokens are counted by a rule that a test can repeat: the words between white space, summed over the string
//! contents (and `text` parts) of all messages or over all prompt strings; a list of token ids counts its length.

use serde_json::{Map, Value};

use crate::api_error::{ApiError, python_repr};
use crate::pydantic;

/// Tokens of a choice when the request names no number: vLLM's default for completions.
const DEFAULT_TOKENS: u64 = 16;
/// More choices than this are refused, as vLLM does with its `VLLM_MAX_N_SEQUENCES`.
const MAX_CHOICES: i64 = 16_384;

/// The two generating routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Completions,
}

/// How a stream was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamAsk {
    pub(crate) include_usage: bool,
    /// Holds only with `include_usage`, as in vLLM.
    pub(crate) continuous: bool,
}

/// One inference request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) model: Option<String>,
    /// `n` for each prompt.
    pub(crate) choices: u64,
    /// Tokens of each choice.
    pub(crate) tokens: u64,
    /// Whether the request set `tokens`; the answer then ends by length.
    pub(crate) limited: bool,
    pub(crate) prompt_tokens: u64,
    pub(crate) stream: Option<StreamAsk>,
}

// === impl Ask ===

impl Ask {
    pub(crate) fn read(kind: Kind, body: &[u8], max_model_len: u64) -> Result<Self, ApiError> {
        let fields = pydantic::object(body)?;
        let model = pydantic::string(fields.get("model"), "body.model")?;
        let n = pydantic::integer(fields.get("n"), "body.n")?.unwrap_or(1);
        let limit = limit(kind, &fields)?;
        let streamed = pydantic::boolean(fields.get("stream"), "body.stream")?.unwrap_or(false);
        let options = stream_options(&fields)?;
        let prompt = match kind {
            Kind::Chat => messages(&fields)?,
            Kind::Completions => prompt(&fields)?,
        };
        if options.is_some() && !streamed {
            let message = "Stream options can only be defined when `stream=True`. (parameter=stream_options)";
            return Err(ApiError::bad_request("stream_options", message));
        }
        if !(1..=MAX_CHOICES).contains(&n) {
            let message = format!("n must be at least 1 and at most {MAX_CHOICES}, got {n}. (parameter=n, value={n})");
            return Err(ApiError::bad_request("n", message));
        }
        let tokens = limit.map(|limit| within(limit, max_model_len)).transpose()?;
        let quiet = StreamAsk {
            include_usage: false,
            continuous: false,
        };
        Ok(Self {
            kind,
            model,
            choices: n.unsigned_abs().saturating_mul(prompt.prompts),
            tokens: tokens.unwrap_or(DEFAULT_TOKENS),
            limited: tokens.is_some(),
            prompt_tokens: prompt.tokens,
            stream: streamed.then_some(options.unwrap_or(quiet)),
        })
    }
}

struct Prompt {
    prompts: u64,
    tokens: u64,
}

/// Chat takes the newer name before the older one.
fn limit(kind: Kind, fields: &Map<String, Value>) -> Result<Option<i64>, ApiError> {
    let old = pydantic::integer(fields.get("max_tokens"), "body.max_tokens")?;
    match kind {
        Kind::Completions => Ok(old),
        Kind::Chat => Ok(pydantic::integer(fields.get("max_completion_tokens"), "body.max_completion_tokens")?.or(old)),
    }
}

fn within(limit: i64, max_model_len: u64) -> Result<u64, ApiError> {
    let refuse = |message: String| ApiError::bad_request("max_tokens", message);
    match u64::try_from(limit) {
        Ok(tokens) if tokens > max_model_len => Err(refuse(format!(
            "max_tokens={tokens} cannot be greater than max_model_len={max_model_len}. Please request fewer output \
             tokens. (parameter=max_tokens, value={tokens})"
        ))),
        Ok(tokens) if tokens > 0 => Ok(tokens),
        _ => Err(refuse(format!(
            "max_tokens must be at least 1, got {limit}. (parameter=max_tokens, value={limit})"
        ))),
    }
}

fn stream_options(fields: &Map<String, Value>) -> Result<Option<StreamAsk>, ApiError> {
    let options = match fields.get("stream_options") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(options)) => options,
        Some(other) => {
            return Err(ApiError::validation(
                "body.stream_options",
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from",
                &python_repr(other),
            ));
        }
    };
    let flag = |name: &str| pydantic::boolean(options.get(name), &format!("body.stream_options.{name}"));
    let include_usage = flag("include_usage")?.unwrap_or(false);
    let continuous = flag("continuous_usage_stats")?.unwrap_or(false);
    Ok(Some(StreamAsk {
        include_usage,
        continuous: continuous && include_usage,
    }))
}

fn messages(fields: &Map<String, Value>) -> Result<Prompt, ApiError> {
    let Some(messages) = fields.get("messages") else {
        return Err(ApiError::missing("messages", &Value::Object(fields.clone())));
    };
    let Value::Array(messages) = messages else {
        let input = python_repr(messages);
        return Err(ApiError::validation(
            "body.messages",
            "list_type",
            "Input should be a valid list",
            &input,
        ));
    };
    let tokens = messages
        .iter()
        .filter_map(|message| message.get("content"))
        .map(content_words)
        .sum();
    Ok(Prompt { prompts: 1, tokens })
}

/// A message's content is a string or a list of parts, of which the text parts count.
fn content_words(content: &Value) -> u64 {
    match content {
        Value::String(text) => words(text),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .map(words)
            .sum(),
        _ => 0,
    }
}

fn prompt(fields: &Map<String, Value>) -> Result<Prompt, ApiError> {
    let missing = || {
        let message = "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)";
        ApiError::bad_request("prompt", message)
    };
    let one = |tokens| Prompt { prompts: 1, tokens };
    match fields.get("prompt") {
        None | Some(Value::Null) => Err(missing()),
        Some(Value::String(text)) => Ok(one(words(text))),
        Some(Value::Array(items)) if items.is_empty() => Err(missing()),
        Some(Value::Array(items)) if items.iter().all(Value::is_u64) => Ok(one(count(items.len()))),
        Some(whole @ Value::Array(items)) => {
            let each = items.iter().map(|item| match item {
                Value::String(text) => Some(words(text)),
                Value::Array(ids) if ids.iter().all(Value::is_u64) => Some(count(ids.len())),
                _ => None,
            });
            let tokens = each.sum::<Option<u64>>().ok_or_else(|| no_prompt(whole))?;
            Ok(Prompt {
                prompts: count(items.len()),
                tokens,
            })
        }
        Some(other) => Err(no_prompt(other)),
    }
}

fn no_prompt(value: &Value) -> ApiError {
    ApiError::validation(
        "body.prompt",
        "string_type",
        "Input should be a valid string",
        &python_repr(value),
    )
}

fn words(text: &str) -> u64 {
    count(text.split_whitespace().count())
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completions(body: &str) -> Result<Ask, ApiError> {
        Ask::read(Kind::Completions, body.as_bytes(), 512)
    }

    fn chat(body: &str) -> Result<Ask, ApiError> {
        Ask::read(Kind::Chat, body.as_bytes(), 512)
    }

    #[test]
    fn prompt_tokens_are_words_and_ids_are_counted() {
        for (prompt, tokens, choices) in [
            (r#""a b  c""#, 3, 1),
            (r#"["a b", "c"]"#, 3, 2),
            ("[10, 20, 30, 40]", 4, 1),
            ("[[1, 2], [3]]", 3, 2),
        ] {
            let ask = completions(&format!(r#"{{"prompt": {prompt}}}"#)).unwrap();
            assert_eq!((ask.prompt_tokens, ask.choices), (tokens, choices), "{prompt}");
        }
        let ask = chat(
            r#"{"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content":
               [{"type": "text", "text": "one two three"}, {"type": "image_url"}]}, {"role": "tool"}], "n": "2"}"#,
        )
        .unwrap();
        assert_eq!(
            (ask.prompt_tokens, ask.choices, ask.tokens, ask.limited),
            (5, 2, 16, false)
        );
    }

    #[test]
    fn max_completion_tokens_goes_before_max_tokens_in_chat_only() {
        let both = r#"{"messages": [], "prompt": "a", "max_tokens": 3, "max_completion_tokens": 5}"#;
        assert_eq!(chat(both).unwrap().tokens, 5);
        assert_eq!(completions(both).unwrap().tokens, 3);
    }

    #[test]
    fn continuous_usage_holds_only_with_usage() {
        let stream = |options: &str| {
            completions(&format!(
                r#"{{"prompt": "a", "stream": "yes", "stream_options": {options}}}"#
            ))
            .map(|ask| ask.stream.unwrap())
        };
        let quiet = StreamAsk {
            include_usage: false,
            continuous: false,
        };
        assert_eq!(stream(r#"{"continuous_usage_stats": true}"#), Ok(quiet));
        assert_eq!(stream("{}"), Ok(quiet));
        assert_eq!(stream(r#"{"include_usage": null}"#), Ok(quiet));
        assert_eq!(
            stream(r#"{"include_usage": "true"}"#),
            Ok(StreamAsk {
                include_usage: true,
                ..quiet
            })
        );
        let both = StreamAsk {
            include_usage: true,
            continuous: true,
        };
        assert_eq!(stream(r#"{"include_usage": 1, "continuous_usage_stats": 1}"#), Ok(both));
    }

    #[test]
    fn limits_are_checked() {
        for bad in ["0", "-1", "513", r#""many""#] {
            assert!(
                completions(&format!(r#"{{"prompt": "a", "max_tokens": {bad}}}"#)).is_err(),
                "{bad}"
            );
        }
        for bad in ["0", "16385"] {
            assert!(
                completions(&format!(r#"{{"prompt": "a", "n": {bad}}}"#)).is_err(),
                "{bad}"
            );
        }
    }
}
