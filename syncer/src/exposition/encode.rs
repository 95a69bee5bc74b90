//! A page of families, written.

use std::fmt::Write;

use super::{Family, Format, Value};

impl Format {
    /// The value of the answer's `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Appends the families to `out`.
pub fn encode(families: &[Family], format: Format, out: &mut String) {
    for family in families {
        for series in &family.series {
            let _ = match &series.value {
                Value::Float(value) => writeln!(out, "{} {value}", family.name),
                Value::Integer(value) => writeln!(out, "{} {value}", family.name),
                Value::Histogram(histogram) => writeln!(out, "{}_count {}", family.name, histogram.count),
            };
        }
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
}
