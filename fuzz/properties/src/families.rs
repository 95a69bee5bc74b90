//! What is served must be valid, whatever it was read from: [`check`] encodes families in every format and reads them
//! back, in the text formats with the syncer's parser and in protobuf with messages that are declared here.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use infertally_syncer::engine::ServerLoad;
use infertally_syncer::exposition::{Family, Format, Histogram, Kind, MediaType, Series, Value, parse};
use infertally_syncer::pool::{Pool, Settings};
use infertally_syncer::scrape_status::Attempt;
use infertally_syncer::target::{Discovered, Target};
use prost::Message;

/// The text formats.
pub(crate) const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// Name, labels and the bits of the value; the bound of a bucket as the bits of its float.
pub(crate) type Row = (String, Vec<(String, String)>, u64);

/// `io.prometheus.client.MetricFamily`, from `metrics.proto` of prometheus/client_model.
#[derive(Clone, PartialEq, Message)]
struct PbFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<PbMetric>,
}

#[derive(Clone, PartialEq, Message)]
struct PbMetric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<PbLabel>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<PbNumber>,
    #[prost(message, optional, tag = "3")]
    counter: Option<PbNumber>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<PbHistogram>,
}

#[derive(Clone, PartialEq, Message)]
struct PbLabel {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct PbNumber {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct PbHistogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    buckets: Vec<PbBucket>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct PbBucket {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    bound: f64,
}

/// Encodes the families in every format: each page has exactly their samples, and no text ends its line.
pub(crate) fn check(families: &[Family]) {
    let expected: Vec<Row> = families.iter().flat_map(rows).collect();
    for format in FORMATS {
        let page = MediaType::Text(format).page(families);
        let mut read = Vec::new();
        let result = parse([&*page], format, |_| true, |sample| read.push(row(&sample)));
        assert_eq!(result, Ok(()), "{}", String::from_utf8_lossy(&page));
        assert_eq!(read, expected, "{}", String::from_utf8_lossy(&page));
        let heads = families.iter().filter(|family| !family.series.is_empty()).count() * 2;
        let end = usize::from(format == Format::OpenMetrics);
        let lines = page.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(
            lines,
            expected.len() + heads + end,
            "{}",
            String::from_utf8_lossy(&page)
        );
    }
    assert_eq!(protobuf_rows(&MediaType::Protobuf.page(families)), Some(expected));
}

/// Checks that no series occurs twice, nor a label in a series.
pub(crate) fn check_unique(families: &[Family]) {
    let mut names = BTreeSet::new();
    for family in families {
        assert!(names.insert(&family.name), "{}", family.name);
        let mut known = BTreeSet::new();
        for series in &family.series {
            let labels: BTreeSet<_> = series.labels.iter().collect();
            let names: BTreeSet<_> = series.labels.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), series.labels.len(), "{} {labels:?}", family.name);
            assert!(known.insert(labels), "{} {:?}", family.name, series.labels);
        }
    }
}

/// Checks what a pool serves of these targets if each has this load.
#[expect(clippy::disallowed_methods, reason = "any time will do")]
pub(crate) fn check_pool(targets: Vec<Target>, load: &ServerLoad) {
    let now = Instant::now();
    let settings = Settings {
        stale_after: Duration::from_secs(1),
        queue_limit: 5.0,
    };
    let mut pool = Pool::new("pool", settings);
    pool.discovered(Discovered::Targets(targets.clone()), now);
    for target in &targets {
        let attempt = Attempt {
            ended_at: now,
            duration: Duration::ZERO,
            result: Ok(load.clone()),
        };
        pool.scraped(target, attempt);
    }
    let families: Vec<Family> = pool
        .families(now)
        .into_iter()
        .chain(pool.std_dev_families(now))
        .collect();
    check_unique(&families);
    check(&families);
}

/// A sample of a text format.
pub(crate) fn row(sample: &infertally_syncer::exposition::Sample<'_>) -> Row {
    let labels = sample.labels.iter().map(|(name, value)| label(name, &value));
    (sample.name.to_owned(), labels.collect(), bits(sample.value))
}

fn label(name: &str, value: &str) -> (String, String) {
    let bound = (name == "le").then(|| value.parse().ok()).flatten();
    (name.to_owned(), bound.map_or_else(|| value.to_owned(), bound_text))
}

fn bound_text(bound: f64) -> String {
    format!("{:x}", bits(bound))
}

/// NaN is not equal to itself.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN } else { value }.to_bits()
}

/// The samples that a page must have of a family.
fn rows(family: &Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for Series { labels, value } in &family.series {
        let labels: Vec<_> = labels.iter().map(|(name, value)| label(name, value)).collect();
        let push = |suffix: &str, bound: Option<f64>, value: f64| {
            let bound = bound.map(|bound| ("le".to_owned(), bound_text(bound)));
            let labels = labels.iter().cloned().chain(bound).collect();
            rows.push((format!("{}{suffix}", family.name), labels, bits(value)));
        };
        match value {
            Value::Float(value) => numbers(*value, push),
            Value::Integer(value) => numbers(*value as f64, push),
            Value::Histogram(Histogram { buckets, sum, count }) => {
                let buckets = buckets
                    .iter()
                    .map(|(bound, count)| (bound.parse().unwrap_or(f64::NAN), *count));
                histogram(buckets, *sum, *count, push);
            }
        }
    }
    rows
}

fn numbers(value: f64, mut push: impl FnMut(&str, Option<f64>, f64)) {
    push("", None, value);
}

fn histogram(
    buckets: impl Iterator<Item = (f64, u64)>,
    sum: f64,
    count: u64,
    mut push: impl FnMut(&str, Option<f64>, f64),
) {
    for (bound, count) in buckets {
        push("_bucket", Some(bound), count as f64);
    }
    push("_bucket", Some(f64::INFINITY), count as f64);
    push("_sum", None, sum);
    push("_count", None, count as f64);
}

/// The samples that Prometheus makes of a page in protobuf. `None` if it is invalid.
fn protobuf_rows(mut page: &[u8]) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while !page.is_empty() {
        let family = PbFamily::decode_length_delimited(&mut page).ok()?;
        for metric in family.metrics {
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|pair| label(&pair.name, &pair.value))
                .collect();
            let push = |suffix: &str, bound: Option<f64>, value: f64| {
                let bound = bound.map(|bound| ("le".to_owned(), bound_text(bound)));
                let labels = labels.iter().cloned().chain(bound).collect();
                rows.push((format!("{}{suffix}", family.name), labels, bits(value)));
            };
            match (family.kind, metric.counter, metric.gauge, metric.histogram) {
                (0, Some(number), None, None) | (1, None, Some(number), None) => numbers(number.value, push),
                (4, None, None, Some(of)) => {
                    let buckets = of.buckets.iter().map(|bucket| (bucket.bound, bucket.count));
                    histogram(buckets, of.sum, of.count, push);
                }
                _ => return None,
            }
        }
    }
    Some(rows)
}

/// The type of a family whose series are all of a value's kind; for families that a property makes.
pub(crate) fn gauges(help: String, series: Vec<Series>) -> Family {
    Family {
        name: "page".into(),
        help: help.into(),
        kind: Kind::Gauge,
        series,
    }
}
