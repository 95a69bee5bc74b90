//! Tests the alerts with a real Prometheus, which scrapes Envoys with the filter, two replicas of the syncer, its LoRA role
//! and simulated model servers. For every fault the expected alerts fire, and no others are even pending.
//!
//! Prometheus runs the shipped configuration and rules; only the addresses differ, and durations are a hundredth.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

mod monitoring;
mod sidecar;
mod system;
mod traffic;

use infertally_harness::Behaviour;

use crate::monitoring::Targets;
use crate::system::{IDLE, System, pool_page};
use crate::traffic::Kind;

/// Formats alerts, each with its subject, as [`Monitoring`](crate::monitoring::Monitoring) does.
fn alerts<const N: usize>(alerts: [(&str, &dyn ToString); N]) -> Vec<String> {
    let alerts = alerts
        .iter()
        .map(|(name, subject)| format!("{name} {}", subject.to_string()));
    alerts.map(|alert| alert.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn each_fault_fires_its_alerts_and_no_others() {
    let mut system = System::start().await;
    let Targets { envoys, sidecars, .. } = system.monitoring.targets.clone();
    let pool = "default";
    system.send(Kind::HEALTHY).await;
    system.monitoring.stays_quiet().await;

    // Faults of clients and model servers, and an adapter's new source that is missing.
    system.send(Kind::ALL).await;
    system.sidecar.as_ref().unwrap().change_source(&system.sim);
    let traffic = alerts([
        ("HighInferenceErrorRate", &"failing"),
        ("HighInferenceRequestLatencyP99", &"slow"),
        ("InferenceRunningRequestsOnlyGrow", &"held"),
        ("InferenceTokensNotKnown", &"no-usage"),
        ("InfertallyLabelOverflow", &""),
        ("LoraAdapterSourceNotLoaded", &"sql"),
    ]);
    system.monitoring.fires(&traffic).await;

    // Faults of the pool, which also serves requests that no Envoy counts.
    system.send(&[]).await;
    for pod in &system.pods {
        pod.set(Behaviour::Page(pool_page(60.0, 3.0, 0.95)));
    }
    system.pods[0].set(Behaviour::Status(503));
    std::fs::remove_file(&system.targets_file).unwrap();
    system.sidecar.as_ref().unwrap().fail(&system.sim);
    let servers = alerts([
        ("HighInferencePoolAvgKVCacheUtilization", &pool),
        ("HighInferencePoolAvgQueueSize", &pool),
        ("InferencePoolDiscoveryStale", &pool),
        ("InferencePoolPodsNotRead", &pool),
        ("InferenceTrafficNotCounted", &pool),
        ("LoraAdapterNotLoaded", &"sql"),
        ("LoraConfigInvalid", &sidecars[0]),
    ]);
    system.monitoring.fires(&servers).await;

    // Everything recovers.
    for pod in &system.pods {
        pod.set(Behaviour::Page(IDLE.into()));
    }
    system.write_targets();
    system.sidecar.as_ref().unwrap().recover(&system.sim);
    system.monitoring.fires(&[]).await;

    // Faults of the filter, the syncer and the LoRA role.
    system.pods.clear();
    system.sidecar = None;
    system.trap_the_filter().await;
    system.restart_envoy_without_a_tag().await;
    let unreachable = system.restart_syncer_with_an_unreachable_envoy().await;
    let product = alerts([
        ("InferencePoolNoReadyPods", &pool),
        ("InferencePoolPodsNotRead", &pool),
        ("InfertallyFilterTrapped", &envoys[0]),
        ("InfertallyFilterMissing", &envoys[1]),
        ("InferenceEnvoyNotRead", &unreachable),
        ("InfertallyScrapeFailing", &sidecars[0]),
    ]);
    system.monitoring.fires(&product).await;

    // Everything is down.
    system.envoys.clear();
    system.syncers.clear();
    let mut down = alerts([
        ("InferenceModelMetricsAbsent", &""),
        ("InferencePoolMetricsAbsent", &""),
    ]);
    let targets = system.monitoring.targets.all();
    down.extend(targets.map(|target| format!("InfertallyScrapeFailing {target}")));
    system.monitoring.fires(&down).await;
    system.monitoring.saw_every_alert();
}
