//! Which pool counts, and what becomes of the targets when it changes.

use infertally_syncer::discovery::Discovered;

use crate::api::{Api, Kind};
use crate::stage::{Stage, pool_v1, pool_v1alpha2, ready_pod};

#[tokio::test(start_paused = true)]
async fn a_v1_pool_is_found_and_its_pods_are_selected_by_the_api_server() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::PoolV1, "other", pool_v1("other", &[9000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    api.put(Kind::Pod, "other-0", ready_pod("other", 2));
    let mut stage = Stage::start(&api);
    let targets = stage.targets().await;
    assert_eq!(targets.len(), 1);
    assert_eq!(&*targets[0].name, "vllm-0");
    assert_eq!(targets[0].url.as_ref().unwrap(), "http://10.0.0.1:8000/");
    let requests = stage.api.requests();
    for asked in ["fieldSelector=metadata.name%3Dchat", "labelSelector=app%3Dvllm"] {
        assert!(requests.iter().any(|request| request.contains(asked)), "{requests:?}");
    }
    assert!(
        !requests.iter().any(|request| request.contains("v1alpha2")),
        "{requests:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_v1alpha2_pool_is_found_where_v1_is_not_served() {
    let api = Api::serving(&[Kind::PoolV1Alpha2]);
    api.put(Kind::PoolV1Alpha2, "chat", pool_v1alpha2("vllm", 9000));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let targets = Stage::start(&api).targets().await;
    assert_eq!(targets[0].url.as_ref().unwrap(), "http://10.0.0.1:9000/");
}

#[tokio::test(start_paused = true)]
async fn of_two_pools_v1s_counts_until_it_is_gone() {
    let api = Api::serving(&[Kind::PoolV1, Kind::PoolV1Alpha2]);
    api.put(Kind::PoolV1, "chat", pool_v1("new", &[8000]));
    api.put(Kind::PoolV1Alpha2, "chat", pool_v1alpha2("old", 8000));
    api.put(Kind::Pod, "new-0", ready_pod("new", 1));
    api.put(Kind::Pod, "old-0", ready_pod("old", 2));
    let mut stage = Stage::start(&api);
    assert_eq!(stage.names().await, ["new-0"]);
    api.delete(Kind::PoolV1, "chat");
    assert_eq!(stage.names().await, ["old-0"]);
    api.put(Kind::PoolV1, "chat", pool_v1("new", &[8000]));
    assert_eq!(stage.names().await, ["new-0"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_crd_that_is_installed_later_is_noticed() {
    let api = Api::serving(&[]);
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let mut stage = Stage::start(&api);
    assert!(stage.names().await.is_empty());
    let why = stage.failing().await;
    assert!(why.starts_with("InferencePool inference/chat: there is none"), "{why}");
    assert_eq!(why.matches("does not serve it").count(), 2, "{why}");
    stage.quiet().await;
    api.serve(Kind::PoolV1);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    let mut told = stage.next().await;
    // The word that v1 is served now and has none of that name, if it was asked just then.
    if matches!(told, Discovered::Failing { .. }) {
        told = stage.next().await;
    }
    let Discovered::Targets(targets) = told else {
        panic!("{told:?}");
    };
    assert_eq!(targets.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_there_is_not_is_an_empty_set_until_it_is_made() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let mut stage = Stage::start(&api);
    assert!(stage.names().await.is_empty());
    let why = stage.failing().await;
    assert!(
        why.contains("inference.networking.k8s.io/v1: none of that name"),
        "{why}"
    );
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(stage.names().await, ["vllm-0"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_deleted_has_no_targets_and_made_again_it_has() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.delete(Kind::PoolV1, "chat");
    assert!(stage.names().await.is_empty());
    assert!(stage.failing().await.contains("none of that name"));
    stage.quiet().await;
    stage.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(stage.names().await, ["vllm-0", "vllm-1"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_selector_swaps_the_targets_whole() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.put(Kind::Pod, "sglang-0", ready_pod("sglang", 3));
    stage.api.put(Kind::PoolV1, "chat", pool_v1("sglang", &[30000]));
    let targets = stage.targets().await;
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].url.as_ref().unwrap(), "http://10.0.0.3:30000/");
    stage.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 4));
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn changed_ports_are_other_targets_of_the_same_pods() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.requests();
    stage.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000, 8001]));
    assert_eq!(stage.names().await, ["vllm-0-rank-0", "vllm-0-rank-1"]);
    assert!(stage.api.requests().is_empty(), "nothing need be asked for that");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_can_no_longer_be_read_leaves_the_targets_as_they_were() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.put(
        Kind::PoolV1,
        "chat",
        serde_json::json!({"spec": {"selector": {"matchExpressions": []}}}),
    );
    let why = stage.failing().await;
    assert!(why.contains("matchLabels"), "{why}");
    stage.quiet().await;
    stage.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(stage.names().await, ["vllm-0"]);
}
