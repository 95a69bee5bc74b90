//! Prometheus' exposition formats: [`parse`] reads the samples of a page, [`encode`] writes families as a page. Pure: bytes
//! in, bytes out. Knows no metric.

mod encode;
mod family;
mod format;
mod metric;
mod parse;
#[cfg(test)]
mod property;
#[cfg(test)]
pub(crate) mod test_util;

pub use encode::encode;
pub use family::{Family, Histogram, Kind, Series, SeriesLabels, Value};
pub use format::Format;
pub use metric::Metric;
pub use parse::{Labels, ParseError, Sample, parse};
