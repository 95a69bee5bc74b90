use super::*;
use crate::fakes::FakeHost;
use crate::metrics::MetricId;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn nothing_reaches_envoy_before_publishing() {
    let (mut ledger, mut host) = (Ledger::default(), FakeHost::default());
    let counter = ledger.open(MetricId::RequestTotal.metric(), "".into());
    let histogram = ledger.open(MetricId::RequestDuration.metric(), "".into());
    ledger.add(counter, 1);
    ledger.add(histogram, 7);
    assert!(host.stats().is_empty());
    ledger.publish(&mut host);
    assert_eq!(host.value("inference_model_request_total"), 1);
    assert_eq!(host.value("inference_model_request_duration_seconds_count"), 1);
}

#[test]
fn publishing_hands_over_each_sum_once() {
    let (mut ledger, mut host) = (Ledger::default(), FakeHost::default());
    let counter = ledger.open(MetricId::RequestTotal.metric(), "".into());
    for value in [1, 2, 3] {
        ledger.add(counter, value);
    }
    let before = host.calls("add");
    for _ in 0..3 {
        ledger.publish(&mut host);
    }
    assert_eq!(host.value("inference_model_request_total"), 6);
    assert_eq!(host.calls("add") - before, 1);
}

#[test]
fn all_stats_are_defined_before_the_first_sum_is_added() {
    let (mut ledger, mut host) = (Ledger::default(), FakeHost::default());
    for metric in [MetricId::RequestTotal, MetricId::RequestSizes, MetricId::InputTokens] {
        let id = ledger.open(metric.metric(), "".into());
        ledger.add(id, 1);
    }
    ledger.publish(&mut host);
    let log = host.log();
    let last_define = log.iter().rposition(|call| *call == "define");
    let first_add = log.iter().position(|call| *call == "add");
    assert!(last_define < first_add, "{log:?}");
}

/// Any schedule of observations and publishings ends with the stats that publishing after each observation leaves.
#[cfg(not(target_arch = "wasm32"))]
mod property {
    use proptest::prelude::*;

    use super::*;

    const METRICS: [MetricId; 4] = [
        MetricId::RequestTotal,
        MetricId::RequestDuration,
        MetricId::RequestSizes,
        MetricId::OutputTokens,
    ];

    proptest! {
        #[test]
        fn published_sums_are_the_recorded_sums(
            schedule in prop::collection::vec((0..METRICS.len(), 0u64..5_000_000, any::<bool>()), 0..60)
        ) {
            let run = |always: bool| {
                let (mut ledger, mut host) = (Ledger::default(), FakeHost::default());
                let ids = METRICS.map(|metric| ledger.open(metric.metric(), "".into()));
                for (metric, value, publish) in &schedule {
                    ledger.add(ids[*metric], *value);
                    if always || *publish {
                        ledger.publish(&mut host);
                    }
                }
                ledger.publish(&mut host);
                host.stats().into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(true), run(false));
        }
    }
}
