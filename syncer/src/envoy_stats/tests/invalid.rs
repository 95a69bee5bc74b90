//! Series that the filter does not produce.

use super::*;

#[test]
fn a_histogram_without_infinity_bucket_or_sum_is_dropped() {
    let complete = histogram(MetricId::InputTokens.metric(), PAIR, &[0, 1], 5);
    for missing in ["+Inf", "_sum"] {
        let page: Vec<_> = complete.lines().filter(|line| !line.contains(missing)).collect();
        let page = page.join("\n");
        assert_eq!(served(&page), []);
        assert_eq!(dropped(&page), [("incomplete", 1)], "{missing}");
    }
    let page = format!("inference_model_request_duration_microseconds_total{{{PAIR}}} 0\n");
    assert_eq!((served(&page), dropped(&page)), (vec![], vec![("incomplete", 1)]));
    // `_count` repeats the last bucket and is not needed.
    let page: Vec<_> = complete.lines().filter(|line| !line.contains("_count")).collect();
    assert_eq!(only_histogram(&page.join("\n")).count, 1);
}

#[test]
fn a_value_that_is_not_an_integer_is_dropped_and_other_series_are_kept() {
    for value in ["NaN", "+Inf", "-Inf", "-1", "0.5", "1e300", "18446744073709551616"] {
        let page = format!(
            "inference_model_request_total{{{PAIR}}} {value}\ninference_model_running_requests{{model_name=\"m\"}} 1\n"
        );
        assert_eq!(served(&page).len(), 1, "{value}");
        assert_eq!(dropped(&page), [("invalid_value", 1)], "{value}");
    }
    // Above 2^53 numbers are rounded, by Prometheus, too.
    for (value, read) in [
        ("0", 0),
        ("-0", 0),
        ("1e3", 1000),
        ("9007199254740993", 9_007_199_254_740_992),
    ] {
        let page = format!("inference_model_request_total{{{PAIR}}} {value}\n");
        assert_eq!(served(&page)[0].series[0].value, Value::Integer(read), "{value}");
    }
}

#[test]
fn a_bucket_with_an_invalid_value_is_omitted_from_its_histogram() {
    let page = histogram(MetricId::InputTokens.metric(), PAIR, &[1, 2, 3], 5).replace("le=\"8\"} 2", "le=\"8\"} NaN");
    let histogram = only_histogram(&page);
    assert_eq!(histogram.buckets[..2], [("1".into(), 1), ("16".into(), 3)]);
}

#[test]
fn series_with_other_labels_than_the_filters_are_dropped() {
    // Series of another Wasm filter, with the same or similar names.
    let page = format!(
        "inference_model_request_total{{}} 1\n\
         inference_model_request_total{{model_name=\"m\"}} 1\n\
         inference_model_request_total{{model_name=\"n\",{PAIR}}} 1\n\
         inference_model_request_total{{model_name=\"m\",target_model_name=\"\"}} 1\n\
         inference_model_input_tokens_bucket{{{PAIR},le=\"7\"}} 1\n\
         inference_model_input_tokens_bucket{{{PAIR}}} 1\n\
         inference_model_request_totals{{{PAIR}}} 1\n\
         my_inference_model_request_total{{{PAIR}}} 1\n\
         inference_model_input_tokens{{{PAIR}}} 1\n\
         le___1___inference_model_input_tokens_bucket{{{PAIR}}} 1\n"
    );
    assert_eq!(served(&page), []);
    assert_eq!(dropped(&page), [("unexpected_labels", 6)]);
}

#[test]
fn duplicate_series_are_dropped_and_never_merged() {
    // They differ in a label that is not served, or in nothing; neither is served.
    for more in ["namespace=\"b\",", ""] {
        let page = format!(
            "inference_model_request_total{{{PAIR}}} 4\n\
             inference_model_request_total{{{more}{PAIR}}} 4\n\
             inference_model_request_total{{model_name=\"m\",target_model_name=\"u\"}} 1\n"
        );
        assert_eq!(served(&page)[0].series.len(), 1);
        assert_eq!(dropped(&page), [("duplicate", 1)]);
    }
    let duplicate = histogram(MetricId::RequestDuration.metric(), PAIR, &[1], 5).repeat(2);
    assert_eq!(
        (served(&duplicate), dropped(&duplicate)),
        (vec![], vec![("duplicate", 1)])
    );
    // Label values that are equal when concatenated are different series.
    let page = "inference_model_request_total{model_name=\"ab\",target_model_name=\"c\"} 1\n\
                inference_model_request_total{model_name=\"a\",target_model_name=\"bc\"} 2\n";
    assert_eq!(served(page)[0].series.len(), 2);
}

#[test]
fn series_over_the_limit_are_dropped_and_earlier_ones_are_complete() {
    let mut page = String::new();
    for number in 0..MAX_SERIES + 7 {
        _ = writeln!(page, "inference_model_running_requests{{model_name=\"{number}\"}} 1");
    }
    page += "inference_model_running_requests{model_name=\"x\"} 1\n";
    let read = read_text(&page);
    assert_eq!(read.series(), MAX_SERIES);
    assert_eq!(dropped(&page), [("over_limit", 8)]);
    let served = families([("e", &read)], false);
    assert_eq!(
        served[0].series[MAX_SERIES - 1].labels[0].1.as_ref(),
        (MAX_SERIES - 1).to_string()
    );
}
