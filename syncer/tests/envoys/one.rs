//! A single Envoy, and its restart.

use infertally_harness::eventually;
use infertally_harness::stats::Stats;

use crate::setup::{QUEUE, Setup, expected, send};

const REQUESTS: &str = "inference_model_request_total";

/// Equal but for rounding errors.
fn assert_near(value: f64, wanted: f64) {
    assert!((value - wanted).abs() < 1e-9 * wanted, "{value}, must be {wanted}");
}

#[tokio::test]
async fn queries_over_one_envoy_equal_what_was_sent() {
    let setup = Setup::start().await;
    let envoy = setup.envoy().await;
    let observer = setup.observe(&[envoy.admin()]).await;
    let mut sent = send(&envoy, 1).await;
    let from = observer.wait_for_values(&expected(&sent)).await;
    let before = envoy.scrape().await.unwrap();

    let more = send(&envoy, 20).await;
    let window = observer.wait_for_increase(from, &expected(&more)).await;
    observer.assert_no_resets(window).await;
    sent.extend(more);
    observer.wait_for_values(&expected(&sent)).await;
    observer
        .syncer()
        .shows(&[QUEUE], &["infertally_syncer_envoy_dropped_series"])
        .await
        .unwrap();

    // Queries of a dashboard. Two thirds of the responses had 4 tokens, in the bucket from 1 to 8; the others had 12, in
    // the bucket from 8 to 16. The prompts had 3 and 10, in the same buckets.
    for metric in ["input_tokens", "output_tokens"] {
        let quantile = |quantile: f64| {
            format!(
                "histogram_quantile({quantile}, sum by (model_name, le) (rate(inference_model_{metric}_bucket[w])))"
            )
        };
        assert_near(observer.value(&quantile(0.5), window).await, 1.0 + 7.0 * 0.75);
        assert_near(observer.value(&quantile(0.9), window).await, 8.0 + 8.0 * 0.7);
    }
    let mean = "increase(inference_model_output_tokens_sum[w]) / increase(inference_model_output_tokens_count[w])";
    assert_near(observer.value(mean, window).await, 20.0 / 3.0);
    // The exact sum of the durations is a counter on Envoy's page.
    let microseconds = |stats: &Stats| -> u64 {
        let name = "inference_model_request_duration_microseconds_total";
        let counters = stats.iter().filter(|(series, _)| series.name == name);
        counters.map(|(_, value)| value).sum()
    };
    let took = microseconds(&envoy.scrape().await.unwrap()) - microseconds(&before);
    let mean = "rate(inference_model_request_duration_seconds_sum[w]) / rate(inference_model_request_duration_seconds_count[w])";
    assert_near(observer.value(mean, window).await, took as f64 / 1e6 / 60.0);

    // Exactly the guide's labels.
    let found = observer
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
async fn a_restart_of_an_envoy_is_one_reset_and_a_dead_envoy_has_no_series() {
    let setup = Setup::start().await;
    let mut envoy = setup.envoy().await;
    // Through the stats listener instead of the admin interface.
    let observer = setup.observe(&[envoy.stats_listener()]).await;
    let from = observer.wait_for_values(&expected(&send(&envoy, 1).await)).await;
    let mut sent = send(&envoy, 10).await;
    observer.wait_for_increase(from, &expected(&sent)).await;

    envoy = setup.restart(envoy).await;
    sent.extend(send(&envoy, 5).await);
    let window = observer.wait_for_increase(from, &expected(&sent)).await;
    assert_eq!(
        observer.value("resets(inference_model_request_total[w])", window).await,
        1.0
    );

    // It dies: its series disappear, and the pool's gauges stay.
    let ports = envoy.ports();
    drop(envoy);
    observer
        .syncer()
        .shows(&[QUEUE], &["inference_model_", "normalized_", "infertally_filter_"])
        .await
        .unwrap();
    assert!(observer.syncer().is_ready().await);
    eventually(async || {
        let requests = observer.prometheus.query(REQUESTS).await?;
        let queue = observer.prometheus.query("inference_pool_average_queue_size").await?;
        match (&requests[..], &queue[..]) {
            ([], [(_, 3.0)]) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
    .await
    .unwrap();

    let envoy = setup.envoy_on(ports).await;
    sent.extend(send(&envoy, 2).await);
    let window = observer.wait_for_increase(from, &expected(&sent)).await;
    assert_eq!(
        observer.value("resets(inference_model_request_total[w])", window).await,
        2.0
    );
}
