use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const TEXT: MediaType = MediaType::Text(Format::Text);
const OPEN_METRICS: MediaType = MediaType::Text(Format::OpenMetrics);

/// What `acceptHeader` of Prometheus' `scrape/scrape.go` returns.
const PROMETHEUS_2_20: &str = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_2_45: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_2_53: &str = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const PROMETHEUS_2_53_NATIVE_HISTOGRAMS: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const PROMETHEUS_3_NATIVE_HISTOGRAMS: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const PROMETHEUS_3_TEXT_FIRST: &str =
    "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4";

fn with(name: http::HeaderName, values: &[&[u8]]) -> HeaderMap {
    values
        .iter()
        .map(|value| (name.clone(), HeaderValue::from_bytes(value).unwrap()))
        .collect()
}

fn format_for(accept: &str) -> MediaType {
    media_type(&with(ACCEPT, &[accept.as_bytes()]))
}

fn gzip_for(accept_encoding: &str) -> bool {
    gzip(&with(ACCEPT_ENCODING, &[accept_encoding.as_bytes()]))
}

#[test]
fn prometheus_gets_openmetrics_when_it_weighs_it_highest() {
    for accept in [PROMETHEUS_2_45, PROMETHEUS_2_53, PROMETHEUS_3] {
        assert_eq!(format_for(accept), OPEN_METRICS, "{accept}");
    }
    assert_eq!(format_for(PROMETHEUS_3_TEXT_FIRST), TEXT);
}

#[test]
fn prometheus_gets_protobuf_when_it_weighs_it_highest() {
    for accept in [PROMETHEUS_2_53_NATIVE_HISTOGRAMS, PROMETHEUS_3_NATIVE_HISTOGRAMS] {
        assert_eq!(format_for(accept), MediaType::Protobuf, "{accept}");
    }
}

#[test]
fn protobuf_is_only_sent_as_delimited_metric_families_with_a_higher_weight() {
    const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, expected) in [
        (PROTOBUF.to_owned(), MediaType::Protobuf),
        (format!("{PROTOBUF};q=0.2, text/plain;q=0.1"), MediaType::Protobuf),
        (
            "Application/Vnd.Google.Protobuf; Encoding=\"delimited\"; Proto=\"io.prometheus.client.MetricFamily\""
                .to_owned(),
            MediaType::Protobuf,
        ),
        (
            format!("{PROTOBUF};escaping=allow-utf-8, */*;q=0.1"),
            MediaType::Protobuf,
        ),
        (format!("{PROTOBUF}, text/plain"), TEXT),
        (format!("{PROTOBUF}, */*"), TEXT),
        (format!("{PROTOBUF};q=0.5, application/openmetrics-text"), OPEN_METRICS),
        (format!("{PROTOBUF};q=0, */*;q=0.1"), TEXT),
        ("application/*, text/plain;q=0.9".to_owned(), OPEN_METRICS),
        ("application/vnd.google.protobuf".to_owned(), TEXT),
        (PROTOBUF.replace("delimited", "text"), TEXT),
        (PROTOBUF.replace("MetricFamily", "Other"), TEXT),
        ("application/vnd.google.protobuf;encoding=delimited".to_owned(), TEXT),
    ] {
        assert_eq!(format_for(&accept), expected, "{accept}");
    }
}

#[test]
fn a_range_of_another_version_does_not_match() {
    assert_eq!(format_for(PROMETHEUS_2_20), TEXT);
    assert_eq!(
        format_for("application/openmetrics-text;version=2.0.0, text/plain;q=0.1"),
        TEXT
    );
    assert_eq!(
        format_for("text/plain;version=1.0.0, application/openmetrics-text;q=0.1"),
        OPEN_METRICS
    );
}

#[test]
fn text_is_the_default() {
    assert_eq!(media_type(&HeaderMap::new()), TEXT);
    for accept in [
        "",
        "*/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "image/png",
    ] {
        assert_eq!(format_for(accept), TEXT, "{accept}");
    }
}

#[test]
fn the_most_specific_range_decides() {
    assert_eq!(
        format_for("text/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.5"),
        OPEN_METRICS
    );
    assert_eq!(format_for("*/*;q=0.9, application/openmetrics-text;q=0"), TEXT);
    assert_eq!(format_for("application/*, text/plain;q=0.9"), OPEN_METRICS);
    assert_eq!(
        format_for("text/plain;version=\"0.0.4\";q=0.2, text/plain;q=0.9, application/openmetrics-text;q=0.5"),
        OPEN_METRICS
    );
}

#[test]
fn names_are_case_insensitive_and_values_may_be_quoted() {
    assert_eq!(
        format_for("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.5, text/plain;q=0.4"),
        OPEN_METRICS
    );
}

#[test]
fn several_headers_form_one_list() {
    let headers = with(ACCEPT, &[b"text/plain;q=0.3", b"application/openmetrics-text"]);
    assert_eq!(media_type(&headers), OPEN_METRICS);
}

#[test]
fn malformed_elements_are_ignored() {
    for q in ["2", "1.001", "0.0001", "-1", "nan", "", ".5", "0.x"] {
        let accept = format!("application/openmetrics-text;q={q}, text/plain;q=0.001");
        assert_eq!(format_for(&accept), TEXT, "{accept}");
    }
    let headers = with(ACCEPT, &[b"\xff\xfe", b";;=;,,q=1", b"application/openmetrics-text"]);
    assert_eq!(media_type(&headers), OPEN_METRICS);
}

#[test]
fn gzip_is_used_when_accepted() {
    for (accepted, expected) in [
        ("gzip", true),
        ("x-gzip", true),
        ("GZIP;Q=0.001", true),
        ("deflate, gzip, br, zstd", true),
        ("*", true),
        ("gzip;q=0.5, identity;q=0.5", true),
        ("gzip;q=0.5, *;q=0", true),
        ("", false),
        ("br", false),
        ("identity", false),
        ("gzip;q=0", false),
        ("gzip;q=0, *", false),
        ("*;q=0", false),
        ("gzip;q=0.5, identity", false),
        ("gzip;q=bad", false),
        ("gzipped", false),
    ] {
        assert_eq!(gzip_for(accepted), expected, "{accepted}");
    }
    assert!(!gzip(&HeaderMap::new()));
}

proptest! {
    #[test]
    fn any_bytes_are_negotiated(bytes in proptest::collection::vec(32_u8..=255, 0..64)) {
        prop_assume!(HeaderValue::from_bytes(&bytes).is_ok());
        let _ = media_type(&with(ACCEPT, &[&bytes]));
        let _ = gzip(&with(ACCEPT_ENCODING, &[&bytes]));
    }

    #[test]
    fn the_media_type_with_the_highest_weight_is_sent(
        text in 0_u16..=1000,
        open_metrics in 0_u16..=1000,
        protobuf in 0_u16..=1000,
    ) {
        let q = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
        let accept = format!(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q={},\
             application/openmetrics-text;q={},text/plain;q={}",
            q(protobuf), q(open_metrics), q(text),
        );
        let expected = [(TEXT, text), (OPEN_METRICS, open_metrics), (MediaType::Protobuf, protobuf)]
            .into_iter()
            .reduce(|best, other| if other.1 > best.1 { other } else { best })
            .unwrap()
            .0;
        prop_assert_eq!(format_for(&accept), expected);
    }
}
