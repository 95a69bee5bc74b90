//! [`MediaType`], what `/metrics` is served as: one of the two text formats, or protobuf, which is only written.

use super::encode::encode;
use super::family::Family;
use super::format::Format;
use super::protobuf;

/// The media types that Prometheus scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `text/plain` or `application/openmetrics-text`.
    Text(Format),
    /// `application/vnd.google.protobuf`, of `io.prometheus.client.MetricFamily`, delimited by lengths.
    Protobuf,
}

// === impl MediaType ===

impl MediaType {
    /// The `Content-Type` of a page.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text(format) => format.content_type(),
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The complete page of `families`.
    pub fn page(self, families: &[Family]) -> Vec<u8> {
        match self {
            Self::Text(format) => {
                let mut page = String::new();
                encode(families, format, &mut page);
                page.into_bytes()
            }
            Self::Protobuf => {
                let mut page = Vec::new();
                protobuf::encode(families, &mut page);
                page
            }
        }
    }
}
