//! Prometheus' exposition formats: what a page of metrics says, and how one is written. Pure: bytes in, bytes out.
//!
//! [`parse`] reads the samples of a page, [`encode`] writes the families that we serve. What a metric means is known to
//! neither.

mod encode;
mod metric;
mod parse;
#[cfg(test)]
mod property;
#[cfg(test)]
pub(crate) mod shown;

use std::borrow::Cow;
use std::sync::Arc;

pub use encode::encode;
pub use metric::Metric;
pub use parse::{Labels, ParseError, Sample, parse};

/// The two formats that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// A family of series, as it is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name; a counter's ends in `_total`.
    pub name: Cow<'static, str>,
    /// What it means.
    pub help: Cow<'static, str>,
    /// Its type.
    pub kind: Kind,
    /// Its series, in the order in which they are written.
    pub series: Vec<Series>,
}

/// Prometheus' types of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts of observations up to each bound.
    Histogram,
}

/// Names and values of a series' labels.
pub type SeriesLabels = Vec<(&'static str, Arc<str>)>;

/// A series of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names and values, in the order in which they are written, without `le`.
    pub labels: SeriesLabels,
    /// What it stands at.
    pub value: Value,
}

/// What a series stands at.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A gauge's number.
    Float(f64),
    /// A counter's count, exact.
    Integer(u64),
    /// A histogram.
    Histogram(Histogram),
}

/// A histogram's counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bound as it is written (`0.005`, `1.048576e+06`), and how many observations lie at it or below it; ascending,
    /// without `+Inf`.
    pub buckets: Vec<(Cow<'static, str>, u64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// How many there were: the `+Inf` bucket too.
    pub count: u64,
}

// === impl Format ===

impl Format {
    /// The media type that a page of this format is served as.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format of a page that came with this `Content-Type`. Only the media type counts: servers write all sorts of
    /// versions behind it (vLLM a `text/plain; version=1.0.0`), and what is not OpenMetrics by name is text.
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
    fn a_format_is_known_by_its_media_type() {
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
