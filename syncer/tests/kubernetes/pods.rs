//! The lifecycle of a pod, and many pods at once.

use infertally_syncer::target::Discovered;
use serde_json::json;

use crate::api::{Api, Kind};
use crate::setup::{Setup, pod, pool_v1, ready_pod};

#[tokio::test(start_paused = true)]
async fn each_change_in_a_pods_lifecycle_is_sent() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    let api = setup.api.clone();
    api.put(
        Kind::Pod,
        "vllm-1",
        json!({"metadata": {"labels": {"app": "vllm"}}, "status": {"phase": "Pending"}}),
    );
    let targets = setup.targets().await;
    assert_eq!(
        (targets.len(), &targets[1].url, targets[1].ready),
        (2, &None, Some(false))
    );
    api.put(Kind::Pod, "vllm-1", pod("vllm", 2, false));
    let targets = setup.targets().await;
    assert!(targets[1].url.is_some());
    assert_eq!(targets[1].ready, Some(false));
    api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    assert_eq!(setup.names().await, ["vllm-0", "vllm-1"]);
    api.put(Kind::Pod, "vllm-1", pod("vllm", 2, false));
    assert_eq!(setup.names().await, ["vllm-0", "!vllm-1"]);
    api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    assert_eq!(setup.names().await, ["vllm-0", "vllm-1"]);
    let mut terminating = ready_pod("vllm", 2);
    terminating["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
    api.put(Kind::Pod, "vllm-1", terminating);
    assert_eq!(setup.names().await, ["vllm-0", "!vllm-1"]);
    api.delete(Kind::Pod, "vllm-1");
    assert_eq!(setup.names().await, ["vllm-0"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_labels_no_longer_match_is_removed() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.put(Kind::Pod, "vllm-0", ready_pod("drained", 1));
    assert_eq!(setup.names().await, ["vllm-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_irrelevant_change_is_not_sent() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    let mut same = ready_pod("vllm", 1);
    same["metadata"]["annotations"]["touched"] = "yes".into();
    setup.api.put(Kind::Pod, "vllm-0", same);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn the_engine_label_is_sent() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    let mut labelled = ready_pod("vllm", 1);
    labelled["metadata"]["labels"]["inference.networking.k8s.io/engine-type"] = "sglang".into();
    setup.api.put(Kind::Pod, "vllm-0", labelled);
    assert_eq!(setup.targets().await[0].engine.as_deref(), Some("sglang"));
}

#[tokio::test(start_paused = true)]
async fn annotations_and_labels_that_change_move_a_pods_metrics() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    let mut pod = ready_pod("vllm", 1);
    for (part, name, value, expected) in [
        ("labels", "prometheus.io/port", "8001", "http://10.0.0.1:8001/"),
        ("annotations", "prometheus.io/port", "8002", "http://10.0.0.1:8002/"),
        ("annotations", "prometheus.io/scheme", "https", "https://10.0.0.1:8002/"),
        ("annotations", "prometheus.io/path", "/m", "https://10.0.0.1:8002/m"),
        // The label does not stand in for an annotation that is there and invalid.
        ("annotations", "prometheus.io/port", "x", "https://10.0.0.1:8000/m"),
    ] {
        pod["metadata"][part][name] = value.into();
        setup.api.put(Kind::Pod, "vllm-0", pod.clone());
        let targets = setup.targets().await;
        assert_eq!(
            targets[0].url.as_ref().unwrap().to_string(),
            expected,
            "{name}: {value}"
        );
        assert_eq!(targets[1].url.as_ref().unwrap().to_string(), "http://10.0.0.2:8000/");
    }
    // Another invalid value is logged, and sends nothing.
    pod["metadata"]["annotations"]["prometheus.io/port"] = "y".into();
    setup.api.put(Kind::Pod, "vllm-0", pod);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_rollout_are_debounced() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    for number in 1..=200 {
        setup
            .api
            .put(Kind::Pod, &format!("vllm-{number}"), ready_pod("vllm", number));
    }
    assert_eq!(setup.targets().await.len(), 201);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_all_pages_of_a_list_are_found() {
    let names: Vec<_> = (0..600).map(|number| format!("vllm-{number:03}")).collect();
    let api = Api::serving(&[Kind::PoolV1]);
    for name in &names {
        api.put(Kind::Pod, name, ready_pod("vllm", 1));
    }
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(Setup::start(&api).names().await, names);
}

#[tokio::test(start_paused = true)]
async fn a_pool_over_the_limit_keeps_its_last_targets_until_it_shrinks() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    let names: Vec<_> = (0..10_000).map(|number| format!("more-{number}")).collect();
    for name in &names {
        setup.api.put(Kind::Pod, name, ready_pod("vllm", 2));
    }
    // The last set within the limit may be sent before the failure.
    let why = loop {
        match setup.next().await {
            Discovered::Failing { why } => break why,
            Discovered::Targets(targets) => assert!(targets.len() <= 10_000),
            Discovered::Removed => panic!("a named pool is never removed"),
        }
    };
    assert!(why.ends_with("pods: more objects than the limit of 10000"), "{why}");
    setup.api.delete(Kind::Pod, "more-0");
    assert_eq!(setup.targets().await.len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn ports_count_towards_the_limit() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    for number in 1..=5_000 {
        setup
            .api
            .put(Kind::Pod, &format!("vllm-{number}"), ready_pod("vllm", 2));
    }
    assert_eq!(setup.targets().await.len(), 5_001);
    setup.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000, 8001]));
    let why = setup.failing().await;
    assert!(why.ends_with("10002 targets, the limit is 10000"), "{why}");
    setup.api.delete(Kind::Pod, "vllm-5000");
    assert_eq!(setup.targets().await.len(), 10_000);
}
