//! Owns the answers that are no inference: their bodies are whole when they begin.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::api_error::ApiError;
use crate::behaviour::{AskedBody, Behaviour, Ending};
use crate::body::PlannedBody;

pub(crate) const JSON: &str = "application/json";
/// Neither JSON nor text.
const GARBAGE: &[u8] = b"{\"data\": [\xff\xfe\0 garbage";

/// The answer that `status` asks for.
pub(crate) fn asked_for(status: StatusCode, body: AskedBody) -> Response<PlannedBody> {
    match body {
        AskedBody::Error => typed(status, JSON, ApiError::asked_for(status).body()),
        AskedBody::Empty => typed(status, JSON, ""),
        AskedBody::Garbage => typed(status, JSON, GARBAGE),
    }
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<PlannedBody> {
    let mut response = Response::new(PlannedBody::whole(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// vLLM gives its short texts no content type.
pub(crate) fn untyped(body: String) -> Response<PlannedBody> {
    Response::new(PlannedBody::whole(body))
}

/// The answer, broken off where that was asked for.
pub(crate) fn cut(response: Response<PlannedBody>, behaviour: &Behaviour) -> Response<PlannedBody> {
    match behaviour.ending {
        Ending::CutBody(at) => response.map(|body| body.cut(at)),
        _ => response,
    }
}
