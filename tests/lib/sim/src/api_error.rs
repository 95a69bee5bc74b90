//! vLLM's error responses, in OpenAI's shape.

use std::fmt;

use hyper::StatusCode;
use serde_json::Value;

/// `{"error":{"message","type","param","code"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) kind: &'static str,
    pub(crate) param: Option<String>,
}

// === impl ApiError ===

impl ApiError {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind,
            param: None,
        }
    }

    pub(crate) fn with_param(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// A well-formed request that the server rejects.
    pub(crate) fn bad_request(param: &str, message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestError", message.to_string()).with_param(param)
    }

    /// An error of pydantic; `loc` is the path to the field, such as `body.max_tokens`.
    pub(crate) fn validation(loc: &str, kind: &str, message: &str, input: &str) -> Self {
        let message = format!(
            "1 validation error:\n  {{'type': '{kind}', 'loc': '{loc}', 'msg': '{message}', 'input': {input}}}"
        );
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", message).with_param(loc)
    }

    /// pydantic's error for a required field.
    pub(crate) fn missing(field: &str, body: &Value) -> Self {
        Self::validation(
            &format!("body.{field}"),
            "missing",
            "Field required",
            &python_repr(body),
        )
    }

    /// The error of `x-sim: status=…`.
    pub(crate) fn injected(status: StatusCode) -> Self {
        let kind = match status.as_u16() {
            400 => "BadRequestError",
            401 => "AuthenticationError",
            403 => "PermissionDeniedError",
            404 => "NotFoundError",
            429 => "RateLimitError",
            503 => "ServiceUnavailableError",
            _ => "InternalServerError",
        };
        Self::new(status, kind, format!("status {} requested by x-sim", status.as_u16()))
    }

    pub(crate) fn body(&self) -> String {
        let Self {
            status,
            message,
            kind,
            param,
        } = self;
        let param = param.as_deref().map_or(Value::Null, Value::from);
        let message = Value::from(message.as_str());
        let code = status.as_u16();
        format!(r#"{{"error":{{"message":{message},"type":"{kind}","param":{param},"code":{code}}}}}"#)
    }
}

/// How vLLM shows a rejected input: Python's notation, with containers reduced to their size.
pub(crate) fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Array(items) => format!("'<list of {} items>'", items.len()),
        Value::Object(fields) => format!("'<dict of {} items>'", fields.len()),
    }
}
