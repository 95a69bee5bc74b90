//! Responses of the model server, and the outcome of an operation that follows from one.
//!
//! vLLM's statuses (captured from 0.32.0): 200; 400 for an id that is taken or a field that is missing; 404 for an
//! adapter, a path or a repository that does not exist. SGLang's (from its source): 200, and 400 for every failure, whose
//! text says which. A 404 or 405 without the server's error body comes from its web framework: the endpoint is missing, as
//! when vLLM runs without `VLLM_ALLOW_RUNTIME_LORA_UPDATING`.

use http::StatusCode;
use serde::Deserialize;

use super::Reason;
use super::api::LoraApi;
use super::request::Operation;

/// Characters of the server's error text that are kept: enough to understand it, short enough for a log line.
const MAX_ERROR_TEXT: usize = 300;

/// The server's response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The body, cut at a limit: of an error a prefix is enough.
    pub body: Vec<u8>,
}

/// No response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request's timeout has passed.
    #[error("no response within the timeout")]
    Timeout,
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Unreachable(String),
}

/// A response, or why there is none.
pub type Reply = Result<Response, TransportError>;

/// What an operation has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server reports success.
    Succeeded,
    /// An adapter of this id is already loaded: the server cannot reload in place, or another client loaded it first.
    AlreadyLoaded {
        /// Status and the server's error text.
        message: String,
    },
    /// The operation failed.
    Failed(RequestError),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// One of the closed set, for the label.
    pub reason: Reason,
    /// Status and the server's error text, or the transport's error: one line.
    pub message: String,
}

/// The body of the servers' error responses.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorBody {
    Vllm { error: ErrorDetail },
    Sglang { error_message: String },
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: String,
}

// === impl Outcome ===

impl Outcome {
    /// What `reply` means for `operation`.
    pub fn of(api: LoraApi, operation: Operation, reply: &Reply) -> Self {
        let response = match authorized(reply) {
            Ok(response) if response.is_success() => return Self::Succeeded,
            Ok(response) => response,
            Err(error) => return Self::Failed(error),
        };
        let text = response.error_text().unwrap_or_default();
        let message = response.message();
        let failed = |reason, message| Self::Failed(RequestError { reason, message });
        let unloads = operation == Operation::Unload;
        match response.status {
            status @ (404 | 405) if response.error_body().is_none() => {
                let reason = if unloads {
                    Reason::UnloadFailed
                } else {
                    Reason::LoadRejected
                };
                failed(reason, format!("{status} {}", api.missing_endpoint()))
            }
            // The requested state is reached, whoever unloaded it.
            404 if unloads && text.contains("cannot be found") => Self::Succeeded,
            400 if unloads && api == LoraApi::Sglang && text.contains("does not exist") => Self::Succeeded,
            _ if unloads => failed(Reason::UnloadFailed, message),
            400 if is_already_loaded(api, &text) => Self::AlreadyLoaded { message },
            // The server understood the request and could not load from the source.
            404 | 500.. => failed(Reason::LoadFailed, message),
            400 if api == LoraApi::Sglang && !is_refused_by_sglang(&text) => failed(Reason::LoadFailed, message),
            _ => failed(Reason::LoadRejected, message),
        }
    }

    /// The value of the label `result`.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Succeeded => "ok",
            Self::AlreadyLoaded { .. } => Reason::LoadRejected.as_str(),
            Self::Failed(error) => error.reason.as_str(),
        }
    }
}

// === impl Response ===

impl Response {
    pub(super) fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The status with its standard phrase, as in `503 Service Unavailable`.
    pub(super) fn status_line(&self) -> String {
        let status = self.status;
        let code = StatusCode::from_u16(status).ok();
        match code.and_then(|code| code.canonical_reason()) {
            Some(phrase) => format!("{status} {phrase}"),
            None => format!("status {status}"),
        }
    }

    /// The status with the server's error text, as in `404 No adapter found for /a`; else with its standard phrase.
    fn message(&self) -> String {
        match self.error_text() {
            Some(text) => format!("{} {text}", self.status),
            None => self.status_line(),
        }
    }

    fn error_body(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The error text of the body, on one line and shortened. None if there is none.
    fn error_text(&self) -> Option<String> {
        let text = match self.error_body() {
            Some(ErrorBody::Vllm {
                error: ErrorDetail { message },
            }) => message,
            Some(ErrorBody::Sglang { error_message }) => error_message,
            None => String::from_utf8_lossy(&self.body).into_owned(),
        };
        let words = text.split(|character: char| character.is_whitespace() || character.is_control());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let line = words.join(" ");
        let line = match line.char_indices().nth(MAX_ERROR_TEXT) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line,
        };
        (!line.is_empty()).then_some(line)
    }
}

// === impl RequestError ===

impl From<&TransportError> for RequestError {
    fn from(error: &TransportError) -> Self {
        let reason = match error {
            TransportError::Timeout => Reason::Timeout,
            TransportError::Unreachable(_) => Reason::Unreachable,
        };
        let message = error.to_string();
        Self { reason, message }
    }
}

fn is_already_loaded(api: LoraApi, text: &str) -> bool {
    match api {
        LoraApi::Vllm => text.contains("already been loaded"),
        LoraApi::Sglang => text.contains("is already loaded") || text.contains("already exists"),
    }
}

/// Whether SGLang would refuse the adapter from any source: it runs without LoRA, or cannot serve such an adapter. Any
/// other failure is that of reading the source, in the words of Python or of Hugging Face.
fn is_refused_by_sglang(text: &str) -> bool {
    let parts = [
        "LoRA is not enabled",
        "Failed to load",
        "is incompatible with",
        "validation error",
    ];
    parts.iter().any(|part| text.contains(part))
}

/// The response, unless there is none or the server refuses the token, which mean the same for every request.
pub(super) fn authorized(reply: &Reply) -> Result<&Response, RequestError> {
    match reply {
        Ok(response) if matches!(response.status, 401 | 403) => Err(RequestError {
            reason: Reason::Unauthorized,
            message: response.status_line(),
        }),
        Ok(response) => Ok(response),
        Err(error) => Err(RequestError::from(error)),
    }
}

#[cfg(test)]
mod tests;
