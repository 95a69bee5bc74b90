//! Responses of the mock API server.

use std::io::Error;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

/// A response, complete or streamed.
pub type ApiResponse = Response<UnsyncBoxBody<Bytes, Error>>;

pub fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": kind, "object": object})).into()
}

pub fn expired() -> Bytes {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version"});
    line("ERROR", &status)
}

pub fn error_status(code: StatusCode, reason: &str, message: &str) -> ApiResponse {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message});
    response(code, status.to_string())
}

pub fn response(code: StatusCode, body: String) -> ApiResponse {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = code;
    response
}
