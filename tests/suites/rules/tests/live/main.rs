//! A real Prometheus with the shipped configuration and rules watches Envoys with the filter, two replicas of the syncer,
//! and simulated model servers: whatever breaks, the right alerts fire, and no others are even pending.
//!
//! Only the addresses are others than in the shipped files, and time runs a hundred times faster.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

mod sidecar;
mod stage;
mod traffic;
mod watch;

use infertally_harness::Behaviour;

use crate::stage::{CALM, Stage, pool_page};
use crate::traffic::Kind;
use crate::watch::Targets;

/// Alerts by name, each with what it is about.
fn alerts<const N: usize>(alerts: [(&str, &dyn ToString); N]) -> Vec<String> {
    let told = alerts
        .iter()
        .map(|(name, subject)| format!("{name} {}", subject.to_string()));
    told.map(|alert| alert.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn the_right_alerts_fire_and_no_others() {
    let mut stage = Stage::start().await;
    let Targets { envoys, sidecars, .. } = stage.watch.targets.clone();
    let pool = "default";
    stage.send(Kind::WELL).await;
    stage.watch.is_quiet().await;

    // What clients and servers do.
    stage.send(Kind::ALL).await;
    let traffic = alerts([
        ("HighInferenceErrorRate", &"ill"),
        ("HighInferenceRequestLatencyP99", &"slow"),
        ("InferenceRunningRequestsOnlyGrow", &"held"),
        ("InferenceTokensNotKnown", &"blind"),
        ("InfertallyLabelOverflow", &""),
    ]);
    stage.watch.fires(&traffic).await;

    // What happens in the pool; and it works without having been asked through an Envoy.
    stage.send(&[]).await;
    for pod in &stage.pods {
        pod.set(Behaviour::Page(pool_page(60.0, 3.0, 0.95)));
    }
    stage.pods[0].set(Behaviour::Status(503));
    std::fs::remove_file(&stage.targets_file).unwrap();
    stage.sidecar.as_ref().unwrap().breaks(&stage.sim);
    let servers = alerts([
        ("HighInferencePoolAvgKVCacheUtilization", &pool),
        ("HighInferencePoolAvgQueueSize", &pool),
        ("InferencePoolDiscoveryStale", &pool),
        ("InferencePoolPodsNotRead", &pool),
        ("InferenceTrafficNotCounted", &pool),
        ("LoraAdapterNotLoaded", &"sql"),
        ("LoraConfigInvalid", &sidecars[0]),
    ]);
    stage.watch.fires(&servers).await;

    // All is well again.
    for pod in &stage.pods {
        pod.set(Behaviour::Page(CALM.into()));
    }
    stage.write_targets();
    stage.sidecar.as_ref().unwrap().mends(&stage.sim);
    stage.watch.fires(&[]).await;

    // What happens to the product itself.
    stage.pods.clear();
    stage.sidecar = None;
    stage.trap_the_filter().await;
    stage.restart_envoy_without_a_tag().await;
    let nobody = stage.restart_syncer_with_an_envoy_that_is_not_there().await;
    let product = alerts([
        ("InferencePoolNoReadyPods", &pool),
        ("InferencePoolPodsNotRead", &pool),
        ("InfertallyFilterTrapped", &envoys[0]),
        ("InfertallyFilterMissing", &envoys[1]),
        ("InferenceEnvoyNotRead", &nobody),
        ("InfertallyScrapeFailing", &sidecars[0]),
    ]);
    stage.watch.fires(&product).await;

    // Nothing is left.
    stage.envoys.clear();
    stage.syncers.clear();
    let mut nothing = alerts([
        ("InferenceModelMetricsAbsent", &""),
        ("InferencePoolMetricsAbsent", &""),
    ]);
    let targets = stage.watch.targets.all();
    nothing.extend(targets.map(|target| format!("InfertallyScrapeFailing {target}")));
    stage.watch.fires(&nothing).await;
    stage.watch.has_seen_every_alert();
}
