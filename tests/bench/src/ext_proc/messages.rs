//! The messages of Envoy's `ext_proc` protocol, as far as the server uses them; unknown fields are skipped.
//!
//! Source: envoyproxy/envoy v1.40, `api/envoy/service/ext_proc/v3/external_processor.proto` and
//! `api/envoy/config/core/v3/base.proto`.

/// What Envoy sends.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProcessingRequest {
    #[prost(oneof = "RequestPhase", tags = "2, 3, 4, 5, 6, 7")]
    pub(super) request: Option<RequestPhase>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum RequestPhase {
    #[prost(message, tag = "2")]
    RequestHeaders(HttpHeaders),
    #[prost(message, tag = "3")]
    ResponseHeaders(HttpHeaders),
    #[prost(message, tag = "4")]
    RequestBody(HttpBody),
    #[prost(message, tag = "5")]
    ResponseBody(HttpBody),
    #[prost(message, tag = "6")]
    RequestTrailers(Empty),
    #[prost(message, tag = "7")]
    ResponseTrailers(Empty),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpHeaders {
    #[prost(message, optional, tag = "1")]
    headers: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "vec", tag = "3")]
    raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpBody {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) body: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub(super) end_of_stream: bool,
}

/// A message whose fields are not used.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Empty {}

/// What the server sends back.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProcessingResponse {
    #[prost(oneof = "ResponsePhase", tags = "1, 2, 3, 4, 5, 6")]
    response: Option<ResponsePhase>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ResponsePhase {
    #[prost(message, tag = "1")]
    RequestHeaders(Empty),
    #[prost(message, tag = "2")]
    ResponseHeaders(Empty),
    #[prost(message, tag = "3")]
    RequestBody(BodyResponse),
    #[prost(message, tag = "4")]
    ResponseBody(BodyResponse),
    #[prost(message, tag = "5")]
    RequestTrailers(Empty),
    #[prost(message, tag = "6")]
    ResponseTrailers(Empty),
}

#[derive(Clone, PartialEq, prost::Message)]
struct BodyResponse {
    #[prost(message, optional, tag = "1")]
    response: Option<CommonResponse>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CommonResponse {
    #[prost(message, optional, tag = "3")]
    body_mutation: Option<BodyMutation>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BodyMutation {
    /// A chunk to pass on, in full-duplex mode.
    #[prost(message, optional, tag = "3")]
    streamed_response: Option<HttpBody>,
}

// === impl HttpHeaders ===

impl HttpHeaders {
    /// The first value of a header.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let headers = &self.headers.as_ref()?.headers;
        let header = headers.iter().find(|header| header.key == name)?;
        Some(&header.raw_value)
    }
}

// === impl ProcessingResponse ===

impl ProcessingResponse {
    pub(super) fn request_headers() -> Self {
        ResponsePhase::RequestHeaders(Empty {}).into()
    }

    pub(super) fn response_headers() -> Self {
        ResponsePhase::ResponseHeaders(Empty {}).into()
    }

    pub(super) fn request_body(body: HttpBody) -> Self {
        ResponsePhase::RequestBody(body.into()).into()
    }

    pub(super) fn response_body(body: HttpBody) -> Self {
        ResponsePhase::ResponseBody(body.into()).into()
    }

    pub(super) fn request_trailers() -> Self {
        ResponsePhase::RequestTrailers(Empty {}).into()
    }

    pub(super) fn response_trailers() -> Self {
        ResponsePhase::ResponseTrailers(Empty {}).into()
    }
}

impl From<ResponsePhase> for ProcessingResponse {
    fn from(phase: ResponsePhase) -> Self {
        Self { response: Some(phase) }
    }
}

// === impl BodyResponse ===

impl From<HttpBody> for BodyResponse {
    fn from(body: HttpBody) -> Self {
        let body_mutation = Some(BodyMutation {
            streamed_response: Some(body),
        });
        Self {
            response: Some(CommonResponse { body_mutation }),
        }
    }
}
