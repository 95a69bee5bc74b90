use std::sync::Arc;

use super::super::family::Histogram;
use super::*;

/// A field of bytes, text or a message, shorter than 128 bytes.
fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, value.len() as u8], value].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// An integer or enumeration, below 128.
fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// The page of one series, and what it must be: a family of this type with this metric.
fn check(kind: Kind, labels: &[(&'static str, &str)], value: Value, expected_type: u8, expected_metric: &[Vec<u8>]) {
    let labels = labels.iter().map(|(name, value)| (*name, Arc::from(*value))).collect();
    let family = Family {
        name: "a".into(),
        help: "b\n".into(),
        kind,
        series: vec![Series { labels, value }],
    };
    let mut page = Vec::new();
    encode(&[family], &mut page);
    let family = [
        bytes(1, b"a"),
        bytes(2, b"b\n"),
        varint(3, expected_type),
        bytes(4, &expected_metric.concat()),
    ]
    .concat();
    assert_eq!(page, [&[family.len() as u8][..], &family].concat());
}

#[test]
fn fields_have_the_numbers_and_types_of_metrics_proto() {
    let label = bytes(1, &[bytes(1, b"x"), bytes(2, b"\"y\"")].concat());
    check(
        Kind::Gauge,
        &[("x", "\"y\"")],
        Value::Float(-0.0),
        1,
        &[label, bytes(2, &double(1, -0.0))],
    );
    check(Kind::Counter, &[], Value::Integer(0), 0, &[bytes(3, &double(1, 0.0))]);
    let histogram = Histogram {
        buckets: vec![("0.005".into(), 0), ("1.048576e+06".into(), 3)],
        sum: 0.25,
        count: 4,
    };
    let bucket = |count, bound| bytes(3, &[varint(1, count), double(2, bound)].concat());
    let histogram_bytes = [varint(1, 4), double(2, 0.25), bucket(0, 0.005), bucket(3, 1_048_576.0)];
    check(
        Kind::Histogram,
        &[],
        Value::Histogram(histogram),
        4,
        &[bytes(7, &histogram_bytes.concat())],
    );
}

#[test]
fn a_family_without_series_is_omitted() {
    let family = Family {
        name: "a".into(),
        help: "".into(),
        kind: Kind::Gauge,
        series: Vec::new(),
    };
    let mut page = Vec::new();
    encode(&[family], &mut page);
    assert!(page.is_empty());
}
