use super::*;
use crate::labels::{ErrorCode, UsageSource};
use crate::record::ModelPair;
use crate::response::{FinishReason, FinishReasons};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn record() -> Record {
    Record {
        labels: ModelPair::default(),
        outcome: Outcome::Success,
        duration_us: 1000,
        request_bytes: 10,
        response_bytes: 20,
        usage: Usage {
            input: Some(5),
            output: Some(8),
            ..Usage::default()
        },
        usage_source: None,
        finish_reasons: FinishReasons::default(),
        is_stream: false,
        invalid_request: false,
        invalid_response: false,
        label_overflow: false,
    }
}

/// What a record adds: metric, value and label.
fn observed(record: &Record) -> Vec<(MetricId, u64, &'static str)> {
    let mut seen = Vec::new();
    observe(record, |Observation { metric, value, label }| {
        seen.push((metric, value, label.map_or("", |(_, name)| name)));
    });
    seen
}

fn ids(record: &Record) -> Vec<MetricId> {
    observed(record).into_iter().map(|(id, ..)| id).collect()
}

#[test]
fn every_id_is_the_number_of_its_row() {
    for (id, name) in [
        (MetricId::RequestTotal, "inference_model_request_total"),
        (MetricId::RequestErrorTotal, "inference_model_request_error_total"),
        (MetricId::RequestDuration, "inference_model_request_duration_seconds"),
        (
            MetricId::NormalizedTimePerOutputToken,
            "normalized_time_per_output_token_seconds",
        ),
        (MetricId::RequestSizes, "inference_model_request_sizes"),
        (MetricId::ResponseSizes, "inference_model_response_sizes"),
        (MetricId::InputTokens, "inference_model_input_tokens"),
        (MetricId::OutputTokens, "inference_model_output_tokens"),
        (MetricId::RunningRequests, "inference_model_running_requests"),
        (MetricId::Info, "inference_extension_info"),
        (MetricId::CachedInputTokens, "inference_model_cached_input_tokens"),
        (
            MetricId::ReasoningOutputTokens,
            "inference_model_reasoning_output_tokens",
        ),
        (MetricId::FinishReason, "inference_model_finish_reason_total"),
        (MetricId::Usage, "inference_model_usage_total"),
        (MetricId::ClientCancelled, "inference_model_client_cancelled_total"),
        (MetricId::FilterParseFailures, "infertally_filter_parse_failures_total"),
        (MetricId::FilterLabelOverflow, "infertally_filter_label_overflow_total"),
        (MetricId::FilterAdmittedModels, "infertally_filter_admitted_models"),
        (MetricId::FilterConfigErrors, "infertally_filter_config_errors"),
        (MetricId::FilterMemory, "infertally_filter_memory_bytes"),
        (MetricId::FilterInfo, "infertally_filter_info"),
    ] {
        assert_eq!(id.metric().name, name);
    }
    assert_eq!(MetricId::FilterInfo as usize + 1, METRICS.len());
}

#[test]
fn bounds_rise_and_are_written_as_their_number() {
    for metric in &METRICS {
        let Kind::Histogram { bounds, unit } = metric.kind else {
            continue;
        };
        assert!(
            bounds.is_sorted_by(|lower, upper| lower.at < upper.at),
            "{}",
            metric.name
        );
        for bound in bounds {
            let scale = if unit == Unit::Seconds { 1e6 } else { 1.0 };
            assert_eq!(
                (bound.le.parse::<f64>().unwrap() * scale).round() as u64,
                bound.at,
                "{} {}",
                metric.name,
                bound.le
            );
            // As Go's shortest form: an exponent from a million on.
            assert_eq!(
                bound.le.contains("e+"),
                unit != Unit::Seconds && bound.at >= 1_000_000,
                "{}",
                bound.le
            );
        }
        assert_eq!(
            metric.microseconds_name().is_some(),
            unit == Unit::Seconds,
            "{}",
            metric.name
        );
    }
}

#[test]
fn a_good_exchange_is_observed_in_the_guides_metrics_but_the_errors() {
    assert_eq!(
        observed(&record()),
        [
            (MetricId::RequestTotal, 1, ""),
            (MetricId::RequestDuration, 1000, ""),
            (MetricId::NormalizedTimePerOutputToken, 125, ""),
            (MetricId::RequestSizes, 10, ""),
            (MetricId::ResponseSizes, 20, ""),
            (MetricId::InputTokens, 5, ""),
            (MetricId::OutputTokens, 8, ""),
        ]
    );
}

#[test]
fn what_was_not_reported_is_not_observed() {
    assert_eq!(
        ids(&Record {
            usage: Usage::default(),
            ..record()
        })
        .len(),
        4
    );
    let none = ids(&Record {
        usage: Usage {
            output: Some(0),
            ..Usage::default()
        },
        ..record()
    });
    assert!(none.contains(&MetricId::OutputTokens) && !none.contains(&MetricId::NormalizedTimePerOutputToken));
}

#[test]
fn a_failed_exchange_is_one_error_and_has_no_time_per_token() {
    let seen = observed(&Record {
        outcome: Outcome::Failed(ErrorCode::UpstreamReset),
        ..record()
    });
    let errors: Vec<_> = seen
        .iter()
        .filter(|(id, ..)| *id == MetricId::RequestErrorTotal)
        .collect();
    assert_eq!(errors, [&(MetricId::RequestErrorTotal, 1, "UpstreamReset")]);
    assert!(
        seen.iter()
            .all(|(id, ..)| *id != MetricId::NormalizedTimePerOutputToken)
    );
    assert!(
        seen.contains(&(MetricId::OutputTokens, 8, "")),
        "tokens that were reported count all the same"
    );
}

#[test]
fn a_client_that_left_is_no_error() {
    let seen = ids(&Record {
        outcome: Outcome::Cancelled,
        ..record()
    });
    assert!(seen.contains(&MetricId::ClientCancelled));
    assert!(!seen.contains(&MetricId::RequestErrorTotal) && !seen.contains(&MetricId::NormalizedTimePerOutputToken));
}

#[test]
fn what_tells_how_far_the_tokens_can_be_trusted_is_observed() {
    let mut finish_reasons = FinishReasons::default();
    for reason in [FinishReason::Stop, FinishReason::Length, FinishReason::Stop] {
        finish_reasons.add(reason);
    }
    let seen = observed(&Record {
        usage: Usage {
            input: Some(5),
            output: Some(8),
            cached_input: Some(3),
            reasoning_output: Some(2),
        },
        usage_source: Some(UsageSource::Reported),
        finish_reasons,
        invalid_request: true,
        invalid_response: true,
        label_overflow: true,
        ..record()
    });
    for wanted in [
        (MetricId::CachedInputTokens, 3, ""),
        (MetricId::ReasoningOutputTokens, 2, ""),
        (MetricId::Usage, 1, "reported"),
        (MetricId::FinishReason, 2, "stop"),
        (MetricId::FinishReason, 1, "length"),
        (MetricId::FilterParseFailures, 1, "request"),
        (MetricId::FilterParseFailures, 1, "response"),
        (MetricId::FilterLabelOverflow, 1, ""),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} of {seen:?}");
    }
}

#[test]
fn every_label_of_the_table_is_one_of_the_tags() {
    for label in METRICS.iter().flat_map(|metric| metric.labels) {
        assert!(Label::ALL.contains(label), "{label:?}");
    }
}

#[test]
fn time_per_token_is_rounded_to_the_nearest_microsecond() {
    assert_eq!(
        [(10, 4), (9, 4), (0, 3), (u64::MAX, 1)].map(|(a, b)| rounded_ratio(a, b)),
        [3, 2, 0, u64::MAX]
    );
}
