//! Prometheus' exposition formats: [`parse`] reads the samples of a page, [`encode`] writes families as a page in a text
//! format, and [`MediaType::page`] in protobuf as well. Pure: bytes in, bytes out. Knows no metric.

mod encode;
mod family;
mod format;
mod media_type;
mod metric;
mod parse;
#[cfg(test)]
mod property;
mod protobuf;
#[cfg(test)]
pub(crate) mod test_util;

pub use encode::encode;
pub use family::{Family, Histogram, Kind, Series, SeriesLabels, Value};
pub use format::Format;
pub use media_type::MediaType;
pub use metric::Metric;
pub use parse::{Labels, ParseError, Sample, parse};
