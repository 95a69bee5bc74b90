use super::*;
use crate::record::ModelPair;

const ALL: [MetricId; 10] = [
    MetricId::RequestTotal,
    MetricId::RequestErrorTotal,
    MetricId::RequestDuration,
    MetricId::NormalizedTimePerOutputToken,
    MetricId::RequestSizes,
    MetricId::ResponseSizes,
    MetricId::InputTokens,
    MetricId::OutputTokens,
    MetricId::RunningRequests,
    MetricId::Info,
];

fn record() -> Record {
    Record {
        labels: ModelPair::default(),
        outcome: Outcome::Success,
        duration_us: 1000,
        request_bytes: 10,
        response_bytes: 20,
        input_tokens: Some(5),
        output_tokens: Some(8),
    }
}

fn observed(record: &Record) -> Vec<(MetricId, u64, Option<ErrorCode>)> {
    let mut seen = Vec::new();
    observe(record, |Observation { metric, value, code }| {
        seen.push((metric, value, code))
    });
    seen
}

#[test]
fn every_id_is_the_number_of_its_row() {
    let names: Vec<_> = ALL.iter().map(|id| id.metric().name).collect();
    assert_eq!(names, METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>());
    assert_eq!(ALL.map(|id| id as usize), std::array::from_fn(|row| row));
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
fn a_good_exchange_is_observed_in_every_metric_but_the_errors() {
    assert_eq!(
        observed(&record()),
        [
            (MetricId::RequestTotal, 1, None),
            (MetricId::RequestDuration, 1000, None),
            (MetricId::RequestSizes, 10, None),
            (MetricId::ResponseSizes, 20, None),
            (MetricId::InputTokens, 5, None),
            (MetricId::OutputTokens, 8, None),
            (MetricId::NormalizedTimePerOutputToken, 125, None),
        ]
    );
}

#[test]
fn what_was_not_reported_is_not_observed() {
    let seen = observed(&Record {
        input_tokens: None,
        output_tokens: None,
        ..record()
    });
    assert_eq!(seen.len(), 4);
    let ids: Vec<_> = observed(&Record {
        output_tokens: Some(0),
        ..record()
    })
    .into_iter()
    .map(|(id, ..)| id)
    .collect();
    assert!(ids.contains(&MetricId::OutputTokens) && !ids.contains(&MetricId::NormalizedTimePerOutputToken));
}

#[test]
fn a_failed_exchange_is_one_error_and_has_no_time_per_token() {
    let seen = observed(&Record {
        outcome: Outcome::Failed(ErrorCode::UpstreamReset),
        ..record()
    });
    let errors: Vec<_> = seen.iter().filter(|(_, _, code)| code.is_some()).collect();
    assert_eq!(
        errors,
        [&(MetricId::RequestErrorTotal, 1, Some(ErrorCode::UpstreamReset))]
    );
    assert!(
        seen.iter()
            .all(|(id, ..)| *id != MetricId::NormalizedTimePerOutputToken)
    );
    assert!(
        seen.contains(&(MetricId::OutputTokens, 8, None)),
        "tokens that were reported count all the same"
    );
}

#[test]
fn a_client_that_left_is_no_error() {
    let seen = observed(&Record {
        outcome: Outcome::ClientLeft,
        ..record()
    });
    assert_eq!(seen.len(), 6);
    assert!(
        seen.iter()
            .all(|(id, _, code)| code.is_none() && *id != MetricId::NormalizedTimePerOutputToken)
    );
}

#[test]
fn time_per_token_is_rounded_to_the_nearest_microsecond() {
    assert_eq!(
        [(10, 4), (9, 4), (0, 3), (u64::MAX, 1)].map(|(a, b)| rounded_ratio(a, b)),
        [3, 2, 0, u64::MAX]
    );
}
