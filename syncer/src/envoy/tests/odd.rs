//! Pages as no filter of ours makes them.

use super::*;

#[test]
fn a_histogram_without_its_end_or_its_sum_is_left_out() {
    let whole = histogram(MetricId::InputTokens.metric(), PAIR, &[0, 1], 5);
    for missing in ["+Inf", "_sum"] {
        let page: Vec<_> = whole.lines().filter(|line| !line.contains(missing)).collect();
        let page = page.join("\n");
        assert_eq!(served(&page), []);
        assert_eq!(left_out(&page), [("incomplete", 1)], "{missing}");
    }
    let page = format!("inference_model_request_duration_microseconds_total{{{PAIR}}} 0\n");
    assert_eq!((served(&page), left_out(&page)), (vec![], vec![("incomplete", 1)]));
    // `_count` only repeats the last bucket.
    let page: Vec<_> = whole.lines().filter(|line| !line.contains("_count")).collect();
    assert_eq!(only_histogram(&page.join("\n")).count, 1);
}

#[test]
fn what_is_no_whole_number_is_left_out_and_the_rest_stays() {
    for value in ["NaN", "+Inf", "-Inf", "-1", "0.5", "1e300", "18446744073709551616"] {
        let page = format!(
            "inference_model_request_total{{{PAIR}}} {value}\ninference_model_running_requests{{model_name=\"m\"}} 1\n"
        );
        assert_eq!(served(&page).len(), 1, "{value}");
        assert_eq!(left_out(&page), [("not_a_whole_number", 1)], "{value}");
    }
    // Above 2^53 a page's numbers are rounded, by Prometheus too.
    for (value, seen) in [
        ("0", 0),
        ("-0", 0),
        ("1e3", 1000),
        ("9007199254740993", 9_007_199_254_740_992),
    ] {
        let page = format!("inference_model_request_total{{{PAIR}}} {value}\n");
        assert_eq!(served(&page)[0].series[0].value, Value::Integer(seen), "{value}");
    }
}

#[test]
fn a_bucket_that_is_no_number_is_left_out_of_its_histogram() {
    let page = histogram(MetricId::InputTokens.metric(), PAIR, &[1, 2, 3], 5).replace("le=\"8\"} 2", "le=\"8\"} NaN");
    let histogram = only_histogram(&page);
    assert_eq!(histogram.buckets[..2], [("1".into(), 1), ("16".into(), 3)]);
}

#[test]
fn series_that_only_resemble_the_filters_are_left_out() {
    // Another wasm filter's, of the same and of similar names.
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
    assert_eq!(left_out(&page), [("other_labels", 6)]);
}

#[test]
fn two_series_never_become_one() {
    // They differ in a label that is not served, or in nothing: neither is believed.
    for more in ["namespace=\"b\",", ""] {
        let page = format!(
            "inference_model_request_total{{{PAIR}}} 4\n\
             inference_model_request_total{{{more}{PAIR}}} 4\n\
             inference_model_request_total{{model_name=\"m\",target_model_name=\"u\"}} 1\n"
        );
        assert_eq!(served(&page)[0].series.len(), 1);
        assert_eq!(left_out(&page), [("twice", 1)]);
    }
    let twice = histogram(MetricId::RequestDuration.metric(), PAIR, &[1], 5).repeat(2);
    assert_eq!((served(&twice), left_out(&twice)), (vec![], vec![("twice", 1)]));
    // Values that run together in a label are no twins.
    let page = "inference_model_request_total{model_name=\"ab\",target_model_name=\"c\"} 1\n\
                inference_model_request_total{model_name=\"a\",target_model_name=\"bc\"} 2\n";
    assert_eq!(served(page)[0].series.len(), 2);
}

#[test]
fn series_beyond_the_cap_are_counted_and_those_before_it_are_whole() {
    let mut page = String::new();
    for number in 0..MAX_SERIES + 7 {
        _ = writeln!(page, "inference_model_running_requests{{model_name=\"{number}\"}} 1");
    }
    page += "inference_model_running_requests{model_name=\"x\"} 1\n";
    let read = read_text(&page);
    assert_eq!(read.series(), MAX_SERIES);
    assert_eq!(left_out(&page), [("beyond_cap", 8)]);
    let served = families([("e", &read)], false);
    assert_eq!(
        served[0].series[MAX_SERIES - 1].labels[0].1.as_ref(),
        (MAX_SERIES - 1).to_string()
    );
}
