//! Two Envoys, one of which is restarted and then replaced.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use std::collections::BTreeMap;

use crate::observer::{Observer, Window};
use crate::setup::{Setup, expected, send};

/// The values of an expression at the window's end, by the label `envoy`.
async fn by_envoy(observer: &Observer, expression: &str, window: Window) -> BTreeMap<String, f64> {
    let found = observer.values(&format!("sum by (envoy) ({expression})"), window).await;
    let by = found
        .into_iter()
        .map(|(labels, value)| (labels["envoy"].as_str().unwrap().to_owned(), value.round()));
    by.collect()
}

#[tokio::test]
async fn the_sum_over_two_envoys_equals_what_was_sent_while_one_is_replaced() {
    let setup = Setup::start().await;
    let (a, b) = (setup.envoy().await, setup.envoy().await);
    let mut observer = setup.observe(&[a.admin(), b.stats_listener()]).await;
    let [of_a, of_b] = [a.admin().to_string(), b.stats_listener().to_string()];
    let before = [send(&a, 1).await, send(&b, 1).await];
    let from = observer.wait_for_values(&expected(before.iter().flatten())).await;

    let (mut by_a, mut by_b) = (send(&a, 10).await, send(&b, 10).await);
    let window = observer
        .wait_for_increase(from, &expected(by_a.iter().chain(&by_b)))
        .await;
    observer.assert_no_resets(window).await;

    // One restarts at its address while the other continues.
    let (more, b) = tokio::join!(send(&a, 10), setup.restart(b));
    by_a.extend(more);
    by_b.extend(send(&b, 5).await);
    let window = observer
        .wait_for_increase(from, &expected(by_a.iter().chain(&by_b)))
        .await;
    for (expression, [at_a, at_b]) in [
        ("increase(inference_model_request_total[w])", [60.0, 45.0]),
        ("resets(inference_model_request_total[w])", [0.0, 1.0]),
        ("increase(inference_model_output_tokens_sum[w])", [400.0, 300.0]),
    ] {
        let seen = by_envoy(&observer, expression, window).await;
        assert_eq!(
            seen,
            [(of_a.clone(), at_a), (of_b.clone(), at_b)].into(),
            "{expression}"
        );
    }

    // It is replaced by one at another address, with which the syncer is restarted.
    let c = setup.envoy().await;
    let by_c = send(&c, 1).await;
    assert!(observer.syncer.take().unwrap().terminate().await.unwrap().success());
    drop(b);
    observer.start_syncer(&[a.admin(), c.admin()]).await;
    let of_c = c.admin().to_string();
    let [before_a, _] = before;
    let there = before_a.iter().chain(&by_a).chain(&by_c);
    let from = observer.wait_for_values(&expected(there)).await;
    let more = [send(&a, 5).await, send(&c, 5).await];
    let window = observer.wait_for_increase(from, &expected(more.iter().flatten())).await;
    observer.assert_no_resets(window).await;
    let seen = by_envoy(&observer, "increase(inference_model_request_total[w])", window).await;
    assert_eq!(seen, [(of_a, 15.0), (of_c, 15.0)].into());
}
