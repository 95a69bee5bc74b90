//! The exposition formats and their media types.

/// The formats that Prometheus scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

// === impl Format ===

impl Format {
    /// The `Content-Type` of a page in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format of a page with this `Content-Type`. Only the media type decides: servers send various versions (vLLM
    /// `text/plain; version=1.0.0`), and everything but OpenMetrics is text.
    pub fn from_content_type(content_type: &str) -> Self {
        let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
        if media_type.trim().eq_ignore_ascii_case("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn the_media_type_decides_the_format() {
        for (content_type, format) in [
            ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
            ("text/plain; version=1.0.0; charset=utf-8", Format::Text),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                Format::OpenMetrics,
            ),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("application/json", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(Format::from_content_type(content_type), format, "{content_type}");
        }
        for format in [Format::Text, Format::OpenMetrics] {
            assert_eq!(Format::from_content_type(format.content_type()), format);
        }
    }
}
