mod invalid;

use std::fmt::Write;

use infertally_filter::labels::Label;
use infertally_filter::metrics::{METRICS, Metric, MetricId};

use super::*;
use crate::exposition::{Histogram, Kind, Value, encode};

const REAL: &str = include_str!("../../../tests/fixtures/envoy-1.40.0/stats_prometheus.txt");
const PAIR: &str = r#"model_name="m",target_model_name="t""#;

/// A page with a histogram whose buckets have these counts, from the lowest; the remaining buckets have the last count.
fn histogram(metric: &Metric, labels: &str, counts: &[u64], sum: u64) -> String {
    let last = counts.last().copied().unwrap_or_default();
    let bounds = super::counters::bounds(metric).iter().map(|bound| bound.le);
    let counts = counts.iter().copied().chain(std::iter::repeat(last));
    let mut page = String::new();
    for (le, count) in bounds.chain(["+Inf"]).zip(counts) {
        _ = writeln!(page, "{}_bucket{{{labels},le=\"{le}\"}} {count}", metric.name);
    }
    let sum_name = metric.microseconds_name().unwrap_or(format!("{}_sum", metric.name));
    page + &format!(
        "{}_count{{{labels}}} {last}\n{sum_name}{{{labels}}} {sum}\n",
        metric.name
    )
}

fn read_text(page: &str) -> EnvoyPage {
    read([page.as_bytes()]).unwrap()
}

fn served(page: &str) -> Vec<Family> {
    families([("envoy:9901", &read_text(page))], false)
}

fn only_histogram(page: &str) -> Histogram {
    let families = served(page);
    let mut histograms = families
        .iter()
        .filter(|family| family.kind == Kind::Histogram)
        .flat_map(|family| &family.series);
    match (histograms.next().map(|series| &series.value), histograms.next()) {
        (Some(Value::Histogram(histogram)), None) => histogram.clone(),
        other => panic!("{other:?}"),
    }
}

fn dropped(page: &str) -> Vec<(&'static str, u64)> {
    read_text(page)
        .dropped()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.as_str(), count))
        .collect()
}

#[test]
fn a_page_of_a_real_envoy_gives_the_families_of_the_golden_file() {
    let mut text = String::new();
    encode(&served(REAL), Format::Text, &mut text);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/envoy-1.40.0.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
    assert_eq!(dropped(REAL), []);
}

#[test]
fn a_page_without_the_filter_is_valid_and_has_no_families() {
    for page in ["", "# TYPE envoy_x counter\nenvoy_x{} 1\n"] {
        assert_eq!(served(page), []);
        assert_eq!((read_text(page).series(), dropped(page)), (0, vec![]));
    }
}

#[test]
fn an_invalid_page_is_an_error() {
    let error = read([format!("inference_model_request_total{{{PAIR}}} many").as_bytes()]).unwrap_err();
    assert_eq!(error.to_string(), "invalid Envoy stats page");
}

#[test]
fn a_sum_of_seconds_is_computed_from_the_microseconds_which_are_not_served() {
    let mut page = histogram(MetricId::RequestDuration.metric(), PAIR, &[1, 3], 1_234_567);
    // Envoy's integer sum is not used.
    _ = writeln!(page, "inference_model_request_duration_seconds_sum{{{PAIR}}} 1");
    let histogram = only_histogram(&page);
    assert_eq!((histogram.sum, histogram.count), (1.234567, 3));
    assert_eq!(histogram.buckets[..2], [("0.005".into(), 1), ("0.025".into(), 3)]);
    assert_eq!(histogram.buckets.len(), 35);
    assert_eq!(served(&page).len(), 1);
}

#[test]
fn names_types_help_labels_and_bounds_are_those_of_the_filters_table() {
    let mut page = String::new();
    let labelled = |metric: &Metric| -> String {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("{}=\"v\"", label.as_str()))
            .collect();
        labels.join(",")
    };
    for metric in &METRICS {
        if super::counters::bounds(metric).is_empty() {
            _ = writeln!(page, "{}{{{}}} 1", metric.name, labelled(metric));
        } else {
            page += &histogram(metric, &labelled(metric), &[1], 1);
        }
    }
    let families = served(&page);
    let mut families = families.iter();
    for metric in METRICS
        .iter()
        .filter(|metric| metric.name != "inference_extension_info")
    {
        let family = families.next().unwrap();
        assert_eq!((family.name.as_ref(), family.help.as_ref()), (metric.name, metric.help));
        let names: Vec<_> = family.series[0].labels.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            metric.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>()
        );
        match &family.series[0].value {
            Value::Histogram(histogram) => {
                let bounds: Vec<_> = histogram.buckets.iter().map(|(le, _)| le.as_ref()).collect();
                let table: Vec<_> = super::counters::bounds(metric).iter().map(|bound| bound.le).collect();
                assert_eq!((bounds, family.kind), (table, Kind::Histogram));
            }
            Value::Integer(_) => assert_eq!(family.kind, Kind::Counter),
            Value::Float(_) => assert_eq!(family.kind, Kind::Gauge),
        }
    }
    assert_eq!(families.next(), None);
}

#[test]
fn label_values_are_passed_on_as_envoy_shows_them() {
    let page = "inference_model_running_requests{model_name=\"a%3Bb \\\"\\\\\\n模型\"} 2\n";
    let series = &served(page)[0].series[0];
    assert_eq!(series.labels, [("model_name", "a%3Bb \"\\\n模型".into())]);
    assert_eq!(series.value, Value::Float(2.0));
}

#[test]
fn a_bucket_that_is_ahead_of_higher_ones_raises_them() {
    // On Envoy's page `+Inf` comes first.
    let page = format!(
        "inference_model_input_tokens_bucket{{{PAIR},le=\"+Inf\"}} 7\n\
         inference_model_input_tokens_bucket{{{PAIR},le=\"16\"}} 8\n\
         inference_model_input_tokens_bucket{{{PAIR},le=\"1\"}} 3\n\
         inference_model_input_tokens_bucket{{{PAIR},le=\"8\"}} 9\n\
         inference_model_input_tokens_count{{{PAIR}}} 12\n\
         inference_model_input_tokens_sum{{{PAIR}}} 100\n"
    );
    assert_eq!(
        only_histogram(&page),
        Histogram {
            buckets: vec![("1".into(), 3), ("8".into(), 9), ("16".into(), 9)],
            sum: 100.0,
            count: 9
        }
    );
}

#[test]
fn labels_that_are_not_in_the_table_are_not_served() {
    let page = format!("inference_model_request_total{{cluster=\"c\",{PAIR},cache=\"q4\"}} 4\n");
    assert_eq!(
        served(&page)[0].series,
        [Series {
            labels: vec![("model_name", "m".into()), ("target_model_name", "t".into())],
            value: Value::Integer(4)
        }]
    );
}

#[test]
fn the_filters_build_info_is_not_passed_on() {
    assert!(REAL.contains("inference_extension_info{"));
    let families = served(REAL);
    assert!(families.iter().all(|family| family.name != "inference_extension_info"));
    assert!(families.iter().any(|family| family.name == "infertally_filter_info"));
}

#[test]
fn series_of_several_envoys_are_kept_apart_and_not_added() {
    let page = |requests: u64| {
        read_text(&format!(
            "inference_model_request_total{{{PAIR}}} {requests}\n{}",
            histogram(MetricId::InputTokens.metric(), PAIR, &[requests], requests)
        ))
    };
    let (a, b, idle) = (page(3), page(5), read_text(""));
    let families = families([("a:9901", &a), ("b:9901", &b), ("c:9901", &idle)], true);
    assert_eq!(families.len(), 2);
    for family in &families {
        let envoys: Vec<_> = family
            .series
            .iter()
            .map(|series| series.labels.last().unwrap())
            .collect();
        assert_eq!(envoys, [&("envoy", "a:9901".into()), &("envoy", "b:9901".into())]);
        assert!(family.series.iter().all(|series| series.labels.len() == 3));
    }
    let values: Vec<_> = families[0].series.iter().map(|series| &series.value).collect();
    assert_eq!(values, [&Value::Integer(3), &Value::Integer(5)]);
    // The label is not added to the pages themselves.
    assert!(served("").is_empty());
    assert_eq!(super::families([("a:9901", &a)], false)[0].series[0].labels.len(), 2);
}

#[test]
fn le_is_the_only_label_that_no_row_of_the_table_has() {
    for label in Label::ALL {
        let in_table = METRICS.iter().any(|metric| metric.labels.contains(&label));
        assert_eq!(in_table, label != Label::Le, "{label:?}");
    }
}
