//! Builds the responses other than inference, whose bodies are complete from the start.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::api_error::ApiError;
use crate::behaviour::{Behaviour, ResponseEnd, StatusBody};
use crate::body::PlannedBody;

pub(crate) const JSON: &str = "application/json";
/// Neither JSON nor text.
const GARBAGE: &[u8] = b"{\"data\": [\xff\xfe\0 garbage";

/// The response of `x-sim: status=…`.
pub(crate) fn injected(status: StatusCode, body: StatusBody) -> Response<PlannedBody> {
    match body {
        StatusBody::Error => typed(status, JSON, ApiError::injected(status).body()),
        StatusBody::Empty => typed(status, JSON, ""),
        StatusBody::Garbage => typed(status, JSON, GARBAGE),
    }
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<PlannedBody> {
    let mut response = Response::new(PlannedBody::full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// vLLM sends its plain texts without a content type.
pub(crate) fn untyped(body: String) -> Response<PlannedBody> {
    Response::new(PlannedBody::full(body))
}

/// The response, aborted where `cut=body:N` says.
pub(crate) fn cut(response: Response<PlannedBody>, behaviour: &Behaviour) -> Response<PlannedBody> {
    match behaviour.end {
        ResponseEnd::CutBody(at) => response.map(|body| body.cut(at)),
        _ => response,
    }
}
