//! Encoded pages compared with golden files, and read by promtool and a real Prometheus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use infertally_syncer::exposition::{Family, Format, Histogram, Kind, Series, Value, encode};

use crate::pages::Page;
use crate::prometheus::{Prometheus, program};

const FORMATS: [(Format, &str); 2] = [
    (Format::Text, include_str!("../../../tests/golden/exposition/page.txt")),
    (
        Format::OpenMetrics,
        include_str!("../../../tests/golden/exposition/page.openmetrics"),
    ),
];

fn series(labels: &[(&'static str, &str)], value: Value) -> Series {
    Series {
        labels: labels.iter().map(|(name, value)| (*name, Arc::from(*value))).collect(),
        value,
    }
}

pub fn families() -> Vec<Family> {
    let duration = Histogram {
        buckets: vec![("0.005".into(), 0), ("1".into(), 3), ("1.048576e+06".into(), 5)],
        sum: 12.125,
        count: 6,
    };
    let model: [(&str, &str); 2] = [
        ("model_name", "a \"quoted\\model\"\nin two lines, ümlaut"),
        ("target_model_name", ""),
    ];
    vec![
        Family {
            name: "inference_pool_average_queue_size".into(),
            help: "Requests that wait, the mean over the pool's fresh pods.".into(),
            kind: Kind::Gauge,
            series: vec![series(&[("name", "default")], Value::Float(10.0 / 3.0))],
        },
        Family {
            name: "inference_pool_average_kv_cache_utilization".into(),
            help: "No pod is fresh, so it has no series and is not there.".into(),
            kind: Kind::Gauge,
            series: Vec::new(),
        },
        Family {
            name: "inference_model_request_total".into(),
            help: "Requests \\ per \"model\",\nin two lines.".into(),
            kind: Kind::Counter,
            series: vec![
                series(&model, Value::Integer(9_007_199_254_740_993)),
                series(&[("model_name", "b"), ("target_model_name", "c")], Value::Integer(0)),
            ],
        },
        Family {
            name: "inference_model_request_duration_seconds".into(),
            help: "Seconds.".into(),
            kind: Kind::Histogram,
            series: vec![series(&model, Value::Histogram(duration))],
        },
        Family {
            name: "infertally_numbers".into(),
            help: "Such as there are.".into(),
            kind: Kind::Gauge,
            series: [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-9, 1.5e300, 0.1]
                .into_iter()
                .zip(["nan", "inf", "-inf", "-0", "small", "large", "0.1"])
                .map(|(value, which)| series(&[("which", which)], Value::Float(value)))
                .collect(),
        },
    ]
}

fn page(format: Format) -> String {
    let mut page = String::new();
    encode(&families(), format, &mut page);
    page
}

#[test]
fn pages_equal_the_golden_files() {
    for (format, golden) in FORMATS {
        assert_eq!(page(format), golden, "{format:?}");
    }
}

#[test]
fn promtool_accepts_the_text_format() {
    let mut promtool = Command::new(program("PROMTOOL"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(page(Format::Text).as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let messages = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&messages), "");
    assert!(output.status.success());
}

#[test]
fn prometheus_reads_the_encoded_values() {
    let pages = FORMATS.map(|(format, _)| Page::new(format, page(format)));
    let prometheus = Prometheus::scraping(&pages);
    for case in 0..pages.len() {
        let value = |query: &str| {
            let found = prometheus.query(&query.replace("CASE", &format!("case=\"{case}\"")));
            assert_eq!(found.len(), 1, "{query}: {found:?}");
            found[0].1.clone()
        };
        assert_eq!(value("up{CASE}"), "1");
        assert_eq!(
            value("inference_pool_average_queue_size{CASE,name=\"default\"}"),
            "3.3333333333333335"
        );
        let model = r#"model_name="a \"quoted\\model\"\nin two lines, ümlaut""#;
        assert_eq!(
            value(&format!("inference_model_request_total{{CASE,{model}}}")),
            "9007199254740992"
        );
        assert_eq!(
            value("inference_model_request_total{CASE,target_model_name=\"c\"}"),
            "0"
        );
        assert_eq!(
            value(&format!("inference_model_request_duration_seconds_sum{{CASE,{model}}}")),
            "12.125"
        );
        assert_eq!(value("inference_model_request_duration_seconds_count{CASE}"), "6");
        assert_eq!(
            value("count(inference_model_request_duration_seconds_bucket{CASE})"),
            "4"
        );
        assert_eq!(
            value("inference_model_request_duration_seconds_bucket{CASE,le=~\"1.048576e[+]06\"}"),
            "5"
        );
        for (which, expected) in [
            ("nan", "NaN"),
            ("inf", "+Inf"),
            ("-inf", "-Inf"),
            ("-0", "-0"),
            ("small", "1e-09"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(
                value(&format!("infertally_numbers{{CASE,which=\"{which}\"}}")),
                expected
            );
        }
    }
}
