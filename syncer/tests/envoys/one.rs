//! One Envoy.

use infertally_harness::eventually;
use infertally_harness::stats::Stats;

use crate::stage::{QUEUE, Stage, expected, send};

const REQUESTS: &str = "inference_model_request_total";

/// Exact but for the last digits of a float.
fn assert_near(value: f64, wanted: f64) {
    assert!((value - wanted).abs() < 1e-9 * wanted, "{value}, must be {wanted}");
}

#[tokio::test]
async fn what_is_computed_over_an_envoy_is_what_was_sent() {
    let stage = Stage::start().await;
    let envoy = stage.envoy().await;
    let watched = stage.watch(&[envoy.admin()]).await;
    let mut sent = send(&envoy, 1).await;
    let from = watched.stand(&expected(&sent)).await;
    let before = envoy.scrape().await.unwrap();

    let more = send(&envoy, 20).await;
    let window = watched.rose(from, &expected(&more)).await;
    watched.never_fell(window).await;
    sent.extend(more);
    watched.stand(&expected(&sent)).await;
    watched
        .syncer()
        .shows(&[QUEUE], &["infertally_syncer_envoy_left_out"])
        .await
        .unwrap();

    // What a dashboard makes of it. Of the answers two thirds had 4 tokens and lie from 1 to 8, the others had 12 and lie
    // from 8 to 16; prompts likewise, with 3 and 10.
    for metric in ["input_tokens", "output_tokens"] {
        let quantile = |quantile: f64| {
            format!(
                "histogram_quantile({quantile}, sum by (model_name, le) (rate(inference_model_{metric}_bucket[w])))"
            )
        };
        assert_near(watched.value(&quantile(0.5), window).await, 1.0 + 7.0 * 0.75);
        assert_near(watched.value(&quantile(0.9), window).await, 8.0 + 8.0 * 0.7);
    }
    let mean = "increase(inference_model_output_tokens_sum[w]) / increase(inference_model_output_tokens_count[w])";
    assert_near(watched.value(mean, window).await, 20.0 / 3.0);
    // Envoy's own counter says how long they took in all.
    let microseconds = |stats: &Stats| -> u64 {
        let name = "inference_model_request_duration_microseconds_total";
        let counters = stats.iter().filter(|(series, _)| series.name == name);
        counters.map(|(_, value)| value).sum()
    };
    let took = microseconds(&envoy.scrape().await.unwrap()) - microseconds(&before);
    let mean = "rate(inference_model_request_duration_seconds_sum[w]) / rate(inference_model_request_duration_seconds_count[w])";
    assert_near(watched.value(mean, window).await, took as f64 / 1e6 / 60.0);

    // Exactly the guide's labels.
    let found = watched
        .values("last_over_time(inference_model_request_total[w])", window)
        .await;
    let labels: Vec<_> = found
        .iter()
        .flat_map(|(labels, _)| labels.as_object())
        .flat_map(|labels| labels.keys())
        .collect();
    assert_eq!(
        labels,
        ["__name__", "instance", "job", "model_name", "target_model_name"]
    );
}

#[tokio::test]
async fn an_envoy_that_restarts_is_one_reset_and_one_that_is_gone_leaves_no_value() {
    let stage = Stage::start().await;
    let mut envoy = stage.envoy().await;
    // This time by the listener that forwards nothing else.
    let watched = stage.watch(&[envoy.stats_listener()]).await;
    let from = watched.stand(&expected(&send(&envoy, 1).await)).await;
    let mut sent = send(&envoy, 10).await;
    watched.rose(from, &expected(&sent)).await;

    envoy = stage.restart(envoy).await;
    sent.extend(send(&envoy, 5).await);
    let window = watched.rose(from, &expected(&sent)).await;
    assert_eq!(
        watched.value("resets(inference_model_request_total[w])", window).await,
        1.0
    );

    // It dies: nothing of it stays, not even its last value, and the pool's gauges do.
    let ports = envoy.ports();
    drop(envoy);
    watched
        .syncer()
        .shows(&[QUEUE], &["inference_model_", "normalized_", "infertally_filter_"])
        .await
        .unwrap();
    assert!(watched.syncer().is_ready().await);
    eventually(async || {
        let requests = watched.prometheus.query(REQUESTS).await?;
        let queue = watched.prometheus.query("inference_pool_average_queue_size").await?;
        match (&requests[..], &queue[..]) {
            ([], [(_, 3.0)]) => Ok(()),
            seen => Err(format!("{seen:?}").into()),
        }
    })
    .await
    .unwrap();

    let envoy = stage.envoy_on(ports).await;
    sent.extend(send(&envoy, 2).await);
    let window = watched.rose(from, &expected(&sent)).await;
    assert_eq!(
        watched.value("resets(inference_model_request_total[w])", window).await,
        2.0
    );
}
