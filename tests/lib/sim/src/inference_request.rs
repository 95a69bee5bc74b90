//! Parser of inference requests, which accepts and rejects what vLLM does. It does not know which models exist.
//!
//! Tests can count prompt tokens by the same rule: the words between white space, summed over the string contents (and
//! `text` parts) of all messages or over all prompt strings; a list of token ids counts its length.

use serde_json::{Map, Value};

use crate::api_error::{ApiError, python_repr};
use crate::pydantic;

/// Tokens of a choice when the request sets no limit: vLLM's default for completions.
const DEFAULT_TOKENS: u64 = 16;
/// The limit of `n`: vLLM's `VLLM_MAX_N_SEQUENCES`.
const MAX_CHOICES: i64 = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Completions,
}

/// Why every choice ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: bool,
    /// `continuous_usage_stats`, which vLLM ignores without `include_usage`.
    pub(crate) continuous_usage: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InferenceRequest {
    pub(crate) kind: Kind,
    pub(crate) model: Option<String>,
    /// `n` times the number of prompts.
    pub(crate) choices: u64,
    /// Tokens of each choice.
    pub(crate) tokens: u64,
    /// [`Finish::Length`] if the request limits the tokens.
    pub(crate) finish: Finish,
    pub(crate) prompt_tokens: u64,
    pub(crate) stream: Option<StreamOptions>,
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

// === impl InferenceRequest ===

impl InferenceRequest {
    pub(crate) fn parse(kind: Kind, body: &[u8], max_model_len: u64) -> Result<Self, ApiError> {
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
        let tokens = limit.map(|limit| checked_limit(limit, max_model_len)).transpose()?;
        let without_usage = StreamOptions {
            include_usage: false,
            continuous_usage: false,
        };
        Ok(Self {
            kind,
            model,
            choices: n.unsigned_abs().saturating_mul(prompt.prompts),
            tokens: tokens.unwrap_or(DEFAULT_TOKENS),
            finish: if tokens.is_some() { Finish::Length } else { Finish::Stop },
            prompt_tokens: prompt.tokens,
            stream: streamed.then_some(options.unwrap_or(without_usage)),
        })
    }
}

struct Prompt {
    prompts: u64,
    tokens: u64,
}

/// In chat, `max_completion_tokens` takes precedence over the older `max_tokens`.
fn limit(kind: Kind, fields: &Map<String, Value>) -> Result<Option<i64>, ApiError> {
    let old = pydantic::integer(fields.get("max_tokens"), "body.max_tokens")?;
    match kind {
        Kind::Completions => Ok(old),
        Kind::Chat => Ok(pydantic::integer(fields.get("max_completion_tokens"), "body.max_completion_tokens")?.or(old)),
    }
}

fn checked_limit(limit: i64, max_model_len: u64) -> Result<u64, ApiError> {
    let invalid = |message: String| ApiError::bad_request("max_tokens", message);
    match u64::try_from(limit) {
        Ok(tokens) if tokens > max_model_len => Err(invalid(format!(
            "max_tokens={tokens} cannot be greater than max_model_len={max_model_len}. Please request fewer output \
             tokens. (parameter=max_tokens, value={tokens})"
        ))),
        Ok(tokens) if tokens > 0 => Ok(tokens),
        _ => Err(invalid(format!(
            "max_tokens must be at least 1, got {limit}. (parameter=max_tokens, value={limit})"
        ))),
    }
}

fn stream_options(fields: &Map<String, Value>) -> Result<Option<StreamOptions>, ApiError> {
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
    Ok(Some(StreamOptions {
        include_usage,
        continuous_usage: continuous && include_usage,
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

/// Content is a string or a list of parts; only text parts count.
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
        Some(list @ Value::Array(items)) => {
            let each = items.iter().map(|item| match item {
                Value::String(text) => Some(words(text)),
                Value::Array(ids) if ids.iter().all(Value::is_u64) => Some(count(ids.len())),
                _ => None,
            });
            let tokens = each.sum::<Option<u64>>().ok_or_else(|| invalid_prompt(list))?;
            Ok(Prompt {
                prompts: count(items.len()),
                tokens,
            })
        }
        Some(other) => Err(invalid_prompt(other)),
    }
}

fn invalid_prompt(value: &Value) -> ApiError {
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

    fn completions(body: &str) -> Result<InferenceRequest, ApiError> {
        InferenceRequest::parse(Kind::Completions, body.as_bytes(), 512)
    }

    fn chat(body: &str) -> Result<InferenceRequest, ApiError> {
        InferenceRequest::parse(Kind::Chat, body.as_bytes(), 512)
    }

    #[test]
    fn words_and_token_ids_count_as_prompt_tokens() {
        for (prompt, tokens, choices) in [
            (r#""a b  c""#, 3, 1),
            (r#"["a b", "c"]"#, 3, 2),
            ("[10, 20, 30, 40]", 4, 1),
            ("[[1, 2], [3]]", 3, 2),
        ] {
            let request = completions(&format!(r#"{{"prompt": {prompt}}}"#)).unwrap();
            assert_eq!((request.prompt_tokens, request.choices), (tokens, choices), "{prompt}");
        }
        let request = chat(
            r#"{"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content":
               [{"type": "text", "text": "one two three"}, {"type": "image_url"}]}, {"role": "tool"}], "n": "2"}"#,
        )
        .unwrap();
        assert_eq!(
            (request.prompt_tokens, request.choices, request.tokens, request.finish),
            (5, 2, 16, Finish::Stop)
        );
    }

    #[test]
    fn max_completion_tokens_overrides_max_tokens_in_chat_only() {
        let both = r#"{"messages": [], "prompt": "a", "max_tokens": 3, "max_completion_tokens": 5}"#;
        assert_eq!(chat(both).unwrap().tokens, 5);
        assert_eq!(completions(both).unwrap().tokens, 3);
    }

    #[test]
    fn continuous_usage_needs_include_usage() {
        let stream = |options: &str| {
            completions(&format!(
                r#"{{"prompt": "a", "stream": "yes", "stream_options": {options}}}"#
            ))
            .map(|request| request.stream.unwrap())
        };
        let without_usage = StreamOptions {
            include_usage: false,
            continuous_usage: false,
        };
        assert_eq!(stream(r#"{"continuous_usage_stats": true}"#), Ok(without_usage));
        assert_eq!(stream("{}"), Ok(without_usage));
        assert_eq!(stream(r#"{"include_usage": null}"#), Ok(without_usage));
        assert_eq!(
            stream(r#"{"include_usage": "true"}"#),
            Ok(StreamOptions {
                include_usage: true,
                ..without_usage
            })
        );
        let both = StreamOptions {
            include_usage: true,
            continuous_usage: true,
        };
        assert_eq!(stream(r#"{"include_usage": 1, "continuous_usage_stats": 1}"#), Ok(both));
    }

    #[test]
    fn token_and_choice_limits_are_checked() {
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
