use super::observe::rounded_ratio;
use super::value::LabelValue;
use super::*;
use crate::exchange::Outcome;
use crate::labels::{ErrorCode, UsageSource};
use crate::names::PairId;
use crate::record::{ModelPair, Record};
use crate::response::{FinishReason, FinishReasons, Usage};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn record() -> Record {
    Record {
        labels: ModelPair::default(),
        pair: PairId::default(),
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

/// The observations of a record: metric, value and label value.
fn observed(record: &Record) -> Vec<(MetricId, u64, &'static str)> {
    let mut seen = Vec::new();
    observe(record, |Observation { metric, value, label }| {
        seen.push((metric, value, label.map_or("", LabelValue::as_str)));
    });
    seen
}

fn ids(record: &Record) -> Vec<MetricId> {
    observed(record).into_iter().map(|(id, ..)| id).collect()
}

#[test]
fn id_indexes_its_row() {
    for (id, row) in [(MetricId::RequestTotal, 0), (MetricId::FilterInfo, METRICS.len() - 1)] {
        assert_eq!(id as usize, row);
        assert_eq!(id.metric().name, METRICS[row].name);
    }
}

#[test]
fn bounds_ascend_and_equal_their_le_label() {
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
            // Go's shortest format has an exponent from a million on.
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
fn successful_exchange_is_observed_by_every_metric_of_the_guide_but_errors() {
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
fn unreported_values_are_not_observed() {
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
fn failed_exchange_is_one_error_without_ntpot() {
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
        "reported tokens of a failed exchange are observed"
    );
}

#[test]
fn cancelled_exchange_is_not_an_error() {
    let seen = ids(&Record {
        outcome: Outcome::Cancelled,
        ..record()
    });
    assert!(seen.contains(&MetricId::ClientCancelled));
    assert!(!seen.contains(&MetricId::RequestErrorTotal) && !seen.contains(&MetricId::NormalizedTimePerOutputToken));
}

#[test]
fn usage_details_and_parse_failures_are_observed() {
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
            audio_seconds: Some(27),
        },
        usage_source: Some(UsageSource::Reported),
        finish_reasons,
        invalid_request: true,
        invalid_response: true,
        label_overflow: true,
        ..record()
    });
    for expected in [
        (MetricId::CachedInputTokens, 3, ""),
        (MetricId::ReasoningOutputTokens, 2, ""),
        (MetricId::AudioSeconds, 27, ""),
        (MetricId::Usage, 1, "reported"),
        (MetricId::FinishReason, 2, "stop"),
        (MetricId::FinishReason, 1, "length"),
        (MetricId::FilterParseFailures, 1, "request"),
        (MetricId::FilterParseFailures, 1, "response"),
        (MetricId::FilterLabelOverflow, 1, ""),
    ] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
}

#[test]
fn every_label_of_the_table_has_a_tag() {
    for label in METRICS.iter().flat_map(|metric| metric.labels) {
        assert!(Label::ALL.contains(label), "{label:?}");
    }
}

#[test]
fn ntpot_is_rounded_to_the_nearest_microsecond() {
    assert_eq!(
        [(10, 4), (9, 4), (0, 3), (u64::MAX, 1)].map(|(a, b)| rounded_ratio(a, b)),
        [3, 2, 0, u64::MAX]
    );
}
