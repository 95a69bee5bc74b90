//! Encodes families in Prometheus' protobuf format: each a `MetricFamily` that its length precedes.
//!
//! The values are those of the text format, which Prometheus reads as floats, too. Histograms are classic ones. The message
//! types are those of `io/prometheus/client/metrics.proto` in <https://github.com/prometheus/client_model>, without the
//! fields that are not served: summaries, native histograms, exemplars, timestamps and units.

use prost::Message;

use super::family::{Family, Kind, Series, Value};

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub(super) r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
pub(super) enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<ClassicHistogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) value: Option<String>,
}

/// `Gauge` and `Counter`, whose fields are the same.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Number {
    #[prost(double, optional, tag = "1")]
    pub(super) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClassicHistogram {
    #[prost(uint64, optional, tag = "1")]
    pub(super) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) bucket: Vec<Bucket>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(super) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) upper_bound: Option<f64>,
}

/// Appends `families` to `out` as one complete page.
pub(super) fn encode(families: &[Family], out: &mut Vec<u8>) {
    let mut message = Vec::new();
    // Holds one metric at a time, whose strings are used again: a page may have ten thousand series. Protobuf joins the
    // metrics, because messages that are concatenated are merged.
    let mut scratch = MetricFamily {
        metric: vec![Metric::default()],
        ..MetricFamily::default()
    };
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        message.clear();
        append(&head(family), &mut message);
        for series in &family.series {
            if let [metric] = scratch.metric.as_mut_slice() {
                metric.set(family.kind, series);
            }
            append(&scratch, &mut message);
        }
        put(prost::encode_length_delimiter(message.len(), out));
        out.extend_from_slice(&message);
    }
}

fn append(message: &impl Message, out: &mut Vec<u8>) {
    put(message.encode(out));
}

fn put(result: Result<(), prost::EncodeError>) {
    // Only a full buffer is an error, and a vector grows.
    _ = result;
}

/// The family without its metrics.
fn head(family: &Family) -> MetricFamily {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    MetricFamily {
        name: Some(family.name.to_string()),
        help: Some(family.help.to_string()),
        r#type: Some(kind.into()),
        metric: Vec::new(),
    }
}

// === impl Metric ===

impl Metric {
    fn set(&mut self, kind: Kind, series: &Series) {
        let Self {
            label,
            gauge,
            counter,
            histogram,
        } = self;
        label.resize_with(series.labels.len(), LabelPair::default);
        for (pair, (name, value)) in label.iter_mut().zip(&series.labels) {
            write(&mut pair.name, name);
            write(&mut pair.value, value);
        }
        let number = match &series.value {
            Value::Float(value) => Some(*value),
            Value::Integer(value) => Some(*value as f64),
            Value::Histogram(_) => None,
        };
        let number = number.map(|value| Number { value: Some(value) });
        *gauge = number.filter(|_| kind == Kind::Gauge);
        *counter = number.filter(|_| kind == Kind::Counter);
        match &series.value {
            Value::Histogram(counts) => histogram.get_or_insert_default().set(counts),
            Value::Float(_) | Value::Integer(_) => *histogram = None,
        }
    }
}

fn write(field: &mut Option<String>, text: &str) {
    let field = field.get_or_insert_default();
    field.clear();
    field.push_str(text);
}

// === impl ClassicHistogram ===

impl ClassicHistogram {
    /// The bucket of `+Inf` is implied by the count.
    fn set(&mut self, counts: &super::family::Histogram) {
        self.sample_count = Some(counts.count);
        self.sample_sum = Some(counts.sum);
        self.bucket.clear();
        self.bucket.extend(counts.buckets.iter().filter_map(|(bound, count)| {
            Some(Bucket {
                cumulative_count: Some(*count),
                upper_bound: Some(bound.parse().ok()?),
            })
        }));
    }
}

#[cfg(test)]
mod tests;
