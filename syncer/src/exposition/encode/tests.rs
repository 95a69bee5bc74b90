use super::*;
use crate::exposition::family::Series;

fn family(name: &'static str, kind: Kind, series: Vec<Series>) -> Family {
    Family {
        name: name.into(),
        help: "What it is.".into(),
        kind,
        series,
    }
}

fn series(labels: &[(&'static str, &str)], value: Value) -> Series {
    Series {
        labels: labels.iter().map(|(name, value)| (*name, Arc::from(*value))).collect(),
        value,
    }
}

fn page(families: &[Family], format: Format) -> String {
    let mut page = String::new();
    encode(families, format, &mut page);
    page
}

#[test]
fn in_open_metrics_a_counters_family_lacks_the_suffix() {
    let families = [family(
        "a_total",
        Kind::Counter,
        vec![series(&[], Value::Integer(u64::MAX))],
    )];
    assert_eq!(
        page(&families, Format::Text),
        "# HELP a_total What it is.\n# TYPE a_total counter\na_total 18446744073709551615\n"
    );
    assert_eq!(
        page(&families, Format::OpenMetrics),
        "# HELP a What it is.\n# TYPE a counter\na_total 18446744073709551615\n# EOF\n"
    );
}

#[test]
fn in_open_metrics_a_counter_without_the_suffix_is_of_unknown_type() {
    let families = [family("requests", Kind::Counter, vec![series(&[], Value::Integer(1))])];
    assert_eq!(
        page(&families, Format::OpenMetrics),
        "# HELP requests What it is.\n# TYPE requests unknown\nrequests 1\n# EOF\n"
    );
}

#[test]
fn bounds_are_written_verbatim() {
    let histogram = Histogram {
        buckets: vec![("0.005".into(), 1), ("1".into(), 2), ("1.048576e+06".into(), 3)],
        sum: 0.25,
        count: 4,
    };
    let families = [family(
        "a",
        Kind::Histogram,
        vec![series(&[("m", "x")], Value::Histogram(histogram))],
    )];
    let body = concat!(
        "# HELP a What it is.\n# TYPE a histogram\n",
        "a_bucket{m=\"x\",le=\"0.005\"} 1\na_bucket{m=\"x\",le=\"1\"} 2\na_bucket{m=\"x\",le=\"1.048576e+06\"} 3\n",
        "a_bucket{m=\"x\",le=\"+Inf\"} 4\na_sum{m=\"x\"} 0.25\na_count{m=\"x\"} 4\n",
    );
    assert_eq!(page(&families, Format::Text), body);
    assert_eq!(page(&families, Format::OpenMetrics), format!("{body}# EOF\n"));
}

#[test]
fn help_and_label_values_are_escaped() {
    let mut families = [family(
        "a",
        Kind::Gauge,
        vec![series(&[("x", "a\\b\"c\nd"), ("y", "")], Value::Float(1.0))],
    )];
    families[0].help = "a\\b\"c\nd".into();
    let sample = "a{x=\"a\\\\b\\\"c\\nd\",y=\"\"} 1\n";
    assert_eq!(
        page(&families, Format::Text),
        format!("# HELP a a\\\\b\"c\\nd\n# TYPE a gauge\n{sample}")
    );
    assert_eq!(
        page(&families, Format::OpenMetrics),
        format!("# HELP a a\\\\b\\\"c\\nd\n# TYPE a gauge\n{sample}# EOF\n")
    );
}

#[test]
fn floats_are_short_and_exact() {
    for (value, written) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1.0 / 3.0, "0.3333333333333333"),
        (1e-4, "0.0001"),
        (1.5e-5, "1.5e-5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e21"),
        (-2.5e300, "-2.5e300"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(Float(value).to_string(), written);
    }
}

#[test]
fn a_family_without_series_is_omitted() {
    let families = [family("a", Kind::Gauge, Vec::new())];
    assert_eq!(page(&families, Format::Text), "");
    assert_eq!(page(&families, Format::OpenMetrics), "# EOF\n");
}
