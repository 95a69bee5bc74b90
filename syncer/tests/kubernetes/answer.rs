//! What an API server's answers look like.

use std::io::Error;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

/// An answer, whole or a stream.
pub type Page = Response<UnsyncBoxBody<Bytes, Error>>;

pub fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": kind, "object": object})).into()
}

pub fn gone() -> Bytes {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version"});
    line("ERROR", &status)
}

pub fn refusal(code: StatusCode, reason: &str, message: &str) -> Page {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message});
    answer(code, status.to_string())
}

pub fn answer(code: StatusCode, body: String) -> Page {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = code;
    response
}
