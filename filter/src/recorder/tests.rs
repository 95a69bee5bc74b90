use super::*;
use crate::exchange::Outcome;
use crate::fakes::FakeHost;
use crate::labels::{ErrorCode, ModelLabel};
use crate::names::PairId;
use crate::response::{FinishReasons, Usage};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn record(duration_us: u64) -> Record {
    Record {
        labels: ModelPair {
            model: ModelLabel::new(b"m"),
            target: ModelLabel::new(b"t"),
        },
        pair: PairId::default(),
        outcome: Outcome::Success,
        duration_us,
        request_bytes: 64,
        response_bytes: 65,
        usage: Usage {
            input: Some(5),
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

/// Records and publishes.
fn publish(recorder: &mut Recorder, record: &Record, host: &mut FakeHost) {
    recorder.record(record);
    recorder.publish(host);
}

fn stat(host: &FakeHost, series: &str) -> i64 {
    host.value(&format!("model_name=.=m;.;target_model_name=.=t;.;{series}"))
}

#[test]
fn bucket_bounds_are_inclusive() {
    let mut host = FakeHost::default();
    publish(&mut Recorder::default(), &record(1), &mut host);
    for (series, value) in [
        ("le=.=64;.;inference_model_request_sizes_bucket", 1),
        ("le=.=128;.;inference_model_request_sizes_bucket", 1),
        ("le=.=1.073741824e+09;.;inference_model_request_sizes_bucket", 1),
        ("le=.=64;.;inference_model_response_sizes_bucket", 0),
        ("le=.=128;.;inference_model_response_sizes_bucket", 1),
        ("le=.=+Inf;.;inference_model_response_sizes_bucket", 1),
        ("inference_model_response_sizes_sum", 65),
        ("inference_model_response_sizes_count", 1),
    ] {
        assert_eq!(stat(&host, series), value, "{series}");
    }
}

#[test]
fn observation_above_all_bounds_is_only_in_the_inf_bucket() {
    let mut host = FakeHost::default();
    publish(&mut Recorder::default(), &record(3_600_000_001), &mut host);
    let buckets: Vec<_> = host
        .stats()
        .into_iter()
        .filter(|(name, _)| name.contains("request_duration_seconds_bucket"))
        .collect();
    assert_eq!(buckets.len(), 36);
    assert_eq!(buckets.iter().map(|(_, value)| value).sum::<i64>(), 1);
}

#[test]
fn first_observation_defines_all_buckets_and_no_other_metric() {
    let mut host = FakeHost::default();
    publish(&mut Recorder::default(), &record(1), &mut host);
    let count = |part: &str| host.stats().keys().filter(|name| name.contains(part)).count();
    assert_eq!(count("inference_model_input_tokens_bucket"), 20);
    assert_eq!(count("inference_model_output_tokens"), 0);
    assert_eq!(count("error"), 0);
}

#[test]
fn fractions_of_a_second_are_carried_over() {
    let mut host = FakeHost::default();
    let mut recorder = Recorder::default();
    let durations = [400_000, 700_000, 2_999_999, 1, 0, 5_000_000, 899_999];
    let mut total = 0;
    for duration in durations {
        publish(&mut recorder, &record(duration), &mut host);
        total += duration as i64;
        assert_eq!(
            stat(&host, "inference_model_request_duration_microseconds_total"),
            total
        );
        assert_eq!(
            stat(&host, "inference_model_request_duration_seconds_sum"),
            total / 1_000_000
        );
    }
    assert_eq!(
        stat(&host, "inference_model_request_duration_seconds_count"),
        durations.len() as i64
    );
}

#[test]
fn workers_add_to_the_same_series() {
    let mut host = FakeHost::default();
    for _ in 0..2 {
        publish(&mut Recorder::default(), &record(1), &mut host);
    }
    assert_eq!(stat(&host, "inference_model_request_total"), 2);
    assert_eq!(stat(&host, "inference_model_input_tokens_sum"), 10);
}

#[test]
fn every_error_code_has_its_own_series() {
    let mut host = FakeHost::default();
    let mut recorder = Recorder::default();
    for code in [ErrorCode::BadRequest, ErrorCode::Truncated, ErrorCode::BadRequest] {
        publish(
            &mut recorder,
            &Record {
                outcome: Outcome::Failed(code),
                ..record(1)
            },
            &mut host,
        );
    }
    assert_eq!(
        stat(&host, "error_code=.=BadRequest;.;inference_model_request_error_total"),
        2
    );
    assert_eq!(
        stat(&host, "error_code=.=Truncated;.;inference_model_request_error_total"),
        1
    );
}

#[test]
fn build_info_gauges_are_one() {
    let mut host = FakeHost::default();
    for _ in 0..2 {
        let build = BuildInfo {
            version: "0.1.0",
            commit: "abc",
            build_ref: "v1",
        };
        build.publish(&mut host);
    }
    assert_eq!(
        host.value("commit=.=abc;.;build_ref=.=v1;.;inference_extension_info"),
        1
    );
    assert_eq!(host.value("version=.=0.1.0;.;infertally_filter_info"), 1);
}

#[test]
fn filter_counters_without_a_model_are_zero_from_the_start() {
    let mut host = FakeHost::default();
    let mut recorder = Recorder::default();
    recorder.add_zeros();
    recorder.publish(&mut host);
    let names: Vec<_> = host.stats().into_keys().map(str::to_owned).collect();
    assert_eq!(
        names,
        [
            "infertally_filter_label_overflow_total",
            "source=.=request;.;infertally_filter_parse_failures_total",
            "source=.=response;.;infertally_filter_parse_failures_total",
        ]
    );
    publish(
        &mut recorder,
        &Record {
            invalid_request: true,
            ..record(1)
        },
        &mut host,
    );
    assert_eq!(
        host.value("source=.=request;.;infertally_filter_parse_failures_total"),
        1
    );
}

#[test]
fn memory_gauge_is_the_maximum_of_all_vms() {
    let mut host = FakeHost::default();
    let mut recorders = [Recorder::default(), Recorder::default()];
    for (vm, memory, expected) in [(0, 5, 5), (1, 3, 5), (1, 7, 7)] {
        recorders[vm].raise_memory(memory, &mut host);
        assert_eq!(host.value("infertally_filter_memory_bytes"), expected);
    }
}
