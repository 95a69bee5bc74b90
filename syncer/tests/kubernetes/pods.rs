//! What becomes of a pod between its first and its last moment, and of many at once.

use infertally_syncer::discovery::Discovered;
use serde_json::json;

use crate::api::{Api, Kind};
use crate::stage::{Stage, pod, pool_v1, ready_pod};

#[tokio::test(start_paused = true)]
async fn a_pod_is_told_of_at_each_turn_of_its_life() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    let api = stage.api.clone();
    api.put(
        Kind::Pod,
        "vllm-1",
        json!({"metadata": {"labels": {"app": "vllm"}}, "status": {"phase": "Pending"}}),
    );
    let targets = stage.targets().await;
    assert_eq!(
        (targets.len(), &targets[1].url, targets[1].ready),
        (2, &None, Some(false))
    );
    api.put(Kind::Pod, "vllm-1", pod("vllm", 2, false));
    let targets = stage.targets().await;
    assert!(targets[1].url.is_some());
    assert_eq!(targets[1].ready, Some(false));
    api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    assert_eq!(stage.names().await, ["vllm-0", "vllm-1"]);
    api.put(Kind::Pod, "vllm-1", pod("vllm", 2, false));
    assert_eq!(stage.names().await, ["vllm-0", "!vllm-1"]);
    api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    assert_eq!(stage.names().await, ["vllm-0", "vllm-1"]);
    let mut terminating = ready_pod("vllm", 2);
    terminating["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
    api.put(Kind::Pod, "vllm-1", terminating);
    assert_eq!(stage.names().await, ["vllm-0", "!vllm-1"]);
    api.delete(Kind::Pod, "vllm-1");
    assert_eq!(stage.names().await, ["vllm-0"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_labels_no_longer_match_is_gone() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.put(Kind::Pod, "vllm-0", ready_pod("drained", 1));
    assert_eq!(stage.names().await, ["vllm-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_does_not_matter_is_not_told() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    let mut same = ready_pod("vllm", 1);
    same["metadata"]["annotations"]["touched"] = "yes".into();
    stage.api.put(Kind::Pod, "vllm-0", same);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn the_engines_label_is_passed_on() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    let mut labelled = ready_pod("vllm", 1);
    labelled["metadata"]["labels"]["inference.networking.k8s.io/engine-type"] = "sglang".into();
    stage.api.put(Kind::Pod, "vllm-0", labelled);
    assert_eq!(stage.targets().await[0].engine.as_deref(), Some("sglang"));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_of_many_pods_is_told_in_few_words() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    for number in 1..=200 {
        stage
            .api
            .put(Kind::Pod, &format!("vllm-{number}"), ready_pod("vllm", number));
    }
    assert_eq!(stage.targets().await.len(), 201);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn more_pods_than_a_page_holds_are_all_found() {
    let names: Vec<_> = (0..600).map(|number| format!("vllm-{number:03}")).collect();
    let api = Api::serving(&[Kind::PoolV1]);
    for name in &names {
        api.put(Kind::Pod, name, ready_pod("vllm", 1));
    }
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(Stage::start(&api).names().await, names);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_outgrows_what_is_read_keeps_its_last_targets_until_it_shrinks() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    let names: Vec<_> = (0..10_000).map(|number| format!("more-{number}")).collect();
    for name in &names {
        stage.api.put(Kind::Pod, name, ready_pod("vllm", 2));
    }
    // The last set that fits may be told before the one that does not.
    let why = loop {
        match stage.next().await {
            Discovered::Failing { why } => break why,
            Discovered::Targets(targets) => assert!(targets.len() <= 10_000),
        }
    };
    assert!(why.ends_with("pods: there are more than 10000"), "{why}");
    stage.api.delete(Kind::Pod, "more-0");
    assert_eq!(stage.targets().await.len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn too_many_ports_are_as_bad_as_too_many_pods() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    for number in 1..=5_000 {
        stage
            .api
            .put(Kind::Pod, &format!("vllm-{number}"), ready_pod("vllm", 2));
    }
    assert_eq!(stage.targets().await.len(), 5_001);
    stage.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000, 8001]));
    let why = stage.failing().await;
    assert!(why.ends_with("10002 targets, 10000 is the most"), "{why}");
    stage.api.delete(Kind::Pod, "vllm-5000");
    assert_eq!(stage.targets().await.len(), 10_000);
}
