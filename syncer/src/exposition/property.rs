//! Properties of every page: what is encoded parses to the same samples, and no bytes make the parser panic.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use prost::Message as _;

use super::protobuf::{MetricFamily, MetricType};
use super::{Family, Format, Histogram, Kind, MediaType, Series, Value, encode, parse};

const LABELS: [&str; 4] = ["model_name", "le_", "_x9", "A"];
const BOUNDS: [&str; 4] = ["0.005", "1", "524288", "1.048576e+06"];

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)]
}

/// Half are floats of random bits, half look like gauges.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (0_u32..10_000).prop_map(|value| f64::from(value) / 8.0)
    ]
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Counter => any::<u64>().prop_map(Value::Integer).boxed(),
        Kind::Gauge => float().prop_map(Value::Float).boxed(),
        Kind::Histogram => (vec(any::<u64>(), BOUNDS.len()), float(), any::<u64>())
            .prop_map(|(counts, sum, count)| {
                let buckets = BOUNDS.iter().map(|bound| (*bound).into()).zip(counts).collect();
                Value::Histogram(Histogram { buckets, sum, count })
            })
            .boxed(),
    }
}

fn family(index: usize) -> impl Strategy<Value = Family> {
    let kind = prop_oneof![Just(Kind::Counter), Just(Kind::Gauge), Just(Kind::Histogram)];
    kind.prop_flat_map(move |kind| {
        let labels = vec("(?s).{0,12}", 0..=LABELS.len())
            .prop_map(|values| LABELS.into_iter().zip(values.into_iter().map(Arc::from)).collect());
        let series = (labels, value(kind)).prop_map(|(labels, value)| Series { labels, value });
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        ("(?s).{0,20}", vec(series, 0..4)).prop_map(move |(help, series)| Family {
            name: format!("family:{index}{suffix}").into(),
            help: help.into(),
            kind,
            series,
        })
    })
}

/// Name, labels, and the bits of the value, because NaN is not equal to itself.
type ParsedSample = (String, Vec<(String, String)>, u64);

fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// The samples that a page of `families` must have.
fn expected(families: &[Family]) -> Vec<ParsedSample> {
    let mut all = Vec::new();
    for (family, series) in families
        .iter()
        .flat_map(|family| family.series.iter().map(move |series| (family, series)))
    {
        let mut push = |suffix: &str, bound: Option<&str>, value: f64| {
            let mut labels: Vec<_> = series
                .labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_string()))
                .collect();
            labels.extend(bound.map(|bound| ("le".to_owned(), bound.to_owned())));
            all.push((format!("{}{suffix}", family.name), labels, bits(value)));
        };
        match &series.value {
            Value::Float(value) => push("", None, *value),
            Value::Integer(value) => push("", None, *value as f64),
            Value::Histogram(Histogram { buckets, sum, count }) => {
                for (bound, cumulative) in buckets {
                    push("_bucket", Some(bound), *cumulative as f64);
                }
                push("_bucket", Some("+Inf"), *count as f64);
                push("_sum", None, *sum);
                push("_count", None, *count as f64);
            }
        }
    }
    all
}

/// The samples of a page in the text format; the bound of a bucket as the bits of its float.
fn text_samples(page: &[u8]) -> Vec<ParsedSample> {
    let mut samples = Vec::new();
    let result = parse(
        [page],
        Format::Text,
        |_| true,
        |sample| {
            let value = |name: &str, value: &str| match name {
                "le" => bits(value.parse().unwrap()).to_string(),
                _ => value.to_owned(),
            };
            let labels = sample
                .labels
                .iter()
                .map(|(name, text)| (name.to_owned(), value(name, &text)));
            samples.push((sample.name.to_owned(), labels.collect(), bits(sample.value)));
        },
    );
    result.unwrap();
    samples
}

/// The samples that Prometheus makes of a page in protobuf, likewise.
fn protobuf_samples(mut page: &[u8]) -> Vec<ParsedSample> {
    let mut samples = Vec::new();
    while !page.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut page).unwrap();
        let kind = family.r#type();
        for metric in &family.metric {
            let mut push = |suffix: &str, bound: Option<f64>, value: f64| {
                let mut labels: Vec<_> = metric
                    .label
                    .iter()
                    .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                    .collect();
                labels.extend(bound.map(|bound| ("le".to_owned(), bits(bound).to_string())));
                samples.push((format!("{}{suffix}", family.name()), labels, bits(value)));
            };
            match kind {
                MetricType::Counter => push("", None, metric.counter.unwrap().value()),
                MetricType::Gauge => push("", None, metric.gauge.unwrap().value()),
                MetricType::Histogram => {
                    let histogram = metric.histogram.as_ref().unwrap();
                    for bucket in &histogram.bucket {
                        push("_bucket", Some(bucket.upper_bound()), bucket.cumulative_count() as f64);
                    }
                    push("_bucket", Some(f64::INFINITY), histogram.sample_count() as f64);
                    push("_sum", None, histogram.sample_sum());
                    push("_count", None, histogram.sample_count() as f64);
                }
            }
        }
    }
    samples
}

/// Bytes that resemble a page.
fn page_like() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "vllm:x", "{", "}", "{b=\"", "\"", "\\", "\\n", "=", ",", " ", "\t", "\n", "1", "-Inf", "NaN", "1e9",
            "# HELP ", "# TYPE a gauge", "# EOF", " # {", "# ", "\r", "\0", "ü",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn encoded_families_parse_to_the_same_samples(format in format(), families in (family(0), family(1), family(2))) {
        let families = [families.0, families.1, families.2];
        let mut page = String::new();
        encode(&families, format, &mut page);
        let mut samples: Vec<ParsedSample> = Vec::new();
        parse([page.as_bytes()], format, |_| true, |sample| {
            let labels = sample.labels.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            samples.push((sample.name.to_owned(), labels, bits(sample.value)));
        })
        .unwrap();
        prop_assert_eq!(samples, expected(&families));
    }

    #[test]
    fn protobuf_has_the_samples_of_the_text_format(families in (family(0), family(1), family(2))) {
        let families = [families.0, families.1, families.2];
        let text = MediaType::Text(Format::Text).page(&families);
        prop_assert_eq!(protobuf_samples(&MediaType::Protobuf.page(&families)), text_samples(&text));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(format in format(), page in prop_oneof![page_like(), vec(any::<u8>(), 0..200)]) {
        let lines = page.split(|byte| *byte == b'\n').count();
        for wanted in [true, false] {
            let result = parse([&*page], format, |_| wanted, |sample| _ = sample.labels.iter().count());
            if let Err(error) = result {
                prop_assert!((1..=lines + 1).contains(&error.line()), "{}", error);
                prop_assert!(error.to_string().len() < 600, "{}", error);
            }
        }
    }

    #[test]
    fn a_page_in_pieces_of_whole_lines_is_the_same_page(format in format(), page in page_like(), size in 1_usize..4) {
        let read = |pieces: &[&[u8]]| {
            let mut seen = Vec::new();
            let result = parse(pieces.iter().copied(), format, |_| true, |sample| {
                let labels = sample.labels.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
                seen.push((sample.name.to_owned(), labels, bits(sample.value)) as ParsedSample);
            });
            (result, seen)
        };
        let lines: Vec<&[u8]> = page.split_inclusive(|byte| *byte == b'\n').collect();
        let pieces: Vec<Vec<u8>> = lines.chunks(size).map(<[_]>::concat).collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let (whole, split) = (read(&[&page]), read(&pieces));
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn skipping_other_names_does_not_change_the_samples_of_one(page in page_like()) {
        let read = |only_a: bool| {
            let mut seen = Vec::new();
            let result = parse([&*page], Format::Text, |name| !only_a || name == "a", |sample| {
                if sample.name == "a" {
                    seen.push((sample.labels.iter().collect::<Vec<_>>(), bits(sample.value)));
                }
            });
            (result, seen)
        };
        let (all, seen) = read(false);
        if all.is_ok() {
            prop_assert_eq!(read(true), (Ok(()), seen));
        }
    }
}
