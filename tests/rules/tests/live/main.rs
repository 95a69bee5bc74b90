//! A real Prometheus with the shipped configuration and rules watches Envoys with the filter, two replicas of the syncer,
//! and simulated model servers: whatever breaks, the right alerts fire, and no others are even pending.
//!
//! Only the addresses are others than in the shipped files, and time runs a hundred times faster.

mod sidecar;
mod stage;
mod traffic;
mod watch;

use infertally_pool::Behaviour;

use crate::stage::{CALM, Stage, pool_page};
use crate::traffic::Kind;

#[tokio::test]
async fn the_right_alerts_fire_and_no_others() {
    let mut stage = Stage::start().await;
    stage.send(Kind::WELL).await;
    stage.is_quiet().await;

    // What clients and servers do.
    stage.send(Kind::ALL).await;
    stage
        .alerts(&[
            "HighInferenceErrorRate ill",
            "HighInferenceRequestLatencyP99 slow",
            "InferenceRunningRequestsOnlyGrow held",
            "InferenceTokensNotKnown blind",
            "InfertallyLabelOverflow",
        ])
        .await;

    // What happens in the pool; and it works without having been asked through an Envoy.
    stage.send(&[]).await;
    for pod in &stage.pods {
        pod.set(Behaviour::Page(pool_page(60.0, 3.0, 0.95)));
    }
    stage.pods[0].set(Behaviour::Status(503));
    std::fs::remove_file(&stage.targets_file).unwrap();
    stage.sidecar.as_ref().unwrap().breaks(&stage.sim);
    stage
        .alerts(&[
            "HighInferencePoolAvgKVCacheUtilization default",
            "HighInferencePoolAvgQueueSize default",
            "InferencePoolDiscoveryStale default",
            "InferencePoolPodsNotRead default",
            "InferenceTrafficNotCounted default",
            "LoraAdapterNotLoaded sql",
            "LoraConfigInvalid infertally-lora",
        ])
        .await;

    // All is well again.
    for pod in &stage.pods {
        pod.set(Behaviour::Page(CALM.into()));
    }
    stage.write_targets();
    stage.sidecar.as_ref().unwrap().mends(&stage.sim);
    stage.alerts(&[]).await;

    // What happens to the product itself.
    stage.pods.clear();
    stage.sidecar = None;
    stage.trap_the_filter().await;
    stage.restart_envoy_without_a_tag().await;
    let unread = stage.restart_syncer_with_an_envoy_that_is_not_there().await;
    stage
        .alerts(&[
            "InferencePoolNoReadyPods default",
            "InferencePoolPodsNotRead default",
            "InfertallyFilterMissing infertally-envoy",
            "InfertallyFilterTrapped infertally-envoy",
            &format!("InferenceEnvoyNotRead {unread}"),
            "InfertallyScrapeFailing infertally-lora",
        ])
        .await;

    // Nothing is left.
    stage.envoys.clear();
    stage.syncers.clear();
    stage
        .alerts(&[
            "InferenceModelMetricsAbsent",
            "InferencePoolMetricsAbsent",
            "InfertallyScrapeFailing infertally-envoy",
            "InfertallyScrapeFailing infertally-lora",
            "InfertallyScrapeFailing infertally-syncer",
        ])
        .await;
    stage.watch.has_seen_every_alert();
}
