//! Two Envoys at once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

use std::collections::BTreeMap;

use crate::stage::{Stage, expected, send};
use crate::watched::{Watched, Window};

/// By the label `envoy`, what an expression has for it at the window's end.
async fn by_envoy(watched: &Watched, expression: &str, window: Window) -> BTreeMap<String, f64> {
    let found = watched.values(&format!("sum by (envoy) ({expression})"), window).await;
    let by = found
        .into_iter()
        .map(|(labels, value)| (labels["envoy"].as_str().unwrap().to_owned(), value.round()));
    by.collect()
}

#[tokio::test]
async fn the_sum_over_two_envoys_is_what_was_sent_also_while_one_is_replaced() {
    let stage = Stage::start().await;
    let (a, b) = (stage.envoy().await, stage.envoy().await);
    let mut watched = stage.watch(&[a.admin(), b.stats_listener()]).await;
    let [of_a, of_b] = [a.admin().to_string(), b.stats_listener().to_string()];
    let before = [send(&a, 1).await, send(&b, 1).await];
    let from = watched.stand(&expected(before.iter().flatten())).await;

    let (mut by_a, mut by_b) = (send(&a, 10).await, send(&b, 10).await);
    let window = watched.rose(from, &expected(by_a.iter().chain(&by_b))).await;
    watched.never_fell(window).await;

    // One gives way to another at its address; the other one works on.
    let (more, b) = tokio::join!(send(&a, 10), stage.restart(b));
    by_a.extend(more);
    by_b.extend(send(&b, 5).await);
    let window = watched.rose(from, &expected(by_a.iter().chain(&by_b))).await;
    for (expression, [at_a, at_b]) in [
        ("increase(inference_model_request_total[w])", [60.0, 45.0]),
        ("resets(inference_model_request_total[w])", [0.0, 1.0]),
        ("increase(inference_model_output_tokens_sum[w])", [400.0, 300.0]),
    ] {
        let seen = by_envoy(&watched, expression, window).await;
        assert_eq!(
            seen,
            [(of_a.clone(), at_a), (of_b.clone(), at_b)].into(),
            "{expression}"
        );
    }

    // It gives way to one at another address, of which the syncer is told.
    let c = stage.envoy().await;
    let by_c = send(&c, 1).await;
    assert!(watched.syncer.take().unwrap().terminate().await.unwrap().success());
    drop(b);
    watched.start_syncer(&[a.admin(), c.admin()]).await;
    let of_c = c.admin().to_string();
    let [before_a, _] = before;
    let there = before_a.iter().chain(&by_a).chain(&by_c);
    let from = watched.stand(&expected(there)).await;
    let more = [send(&a, 5).await, send(&c, 5).await];
    let window = watched.rose(from, &expected(more.iter().flatten())).await;
    watched.never_fell(window).await;
    let seen = by_envoy(&watched, "increase(inference_model_request_total[w])", window).await;
    assert_eq!(seen, [(of_a, 15.0), (of_c, 15.0)].into());
}
