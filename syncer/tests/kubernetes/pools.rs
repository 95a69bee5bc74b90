//! Which pool applies, and the targets when it changes.

use infertally_syncer::target::Discovered;

use crate::api::{Api, Kind};
use crate::setup::{Setup, pool_v1, pool_v1alpha2, ready_pod};

#[tokio::test(start_paused = true)]
async fn a_v1_pool_is_found_and_selectors_are_applied_by_the_api_server() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::PoolV1, "other", pool_v1("other", &[9000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    api.put(Kind::Pod, "other-0", ready_pod("other", 2));
    let mut setup = Setup::start(&api);
    let targets = setup.targets().await;
    assert_eq!(targets.len(), 1);
    assert_eq!(&*targets[0].name, "vllm-0");
    assert_eq!(targets[0].url.as_ref().unwrap(), "http://10.0.0.1:8000/");
    let requests = setup.api.requests();
    for parameter in ["fieldSelector=metadata.name%3Dchat", "labelSelector=app%3Dvllm"] {
        assert!(
            requests.iter().any(|request| request.contains(parameter)),
            "{requests:?}"
        );
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
    let targets = Setup::start(&api).targets().await;
    assert_eq!(targets[0].url.as_ref().unwrap(), "http://10.0.0.1:9000/");
}

#[tokio::test(start_paused = true)]
async fn v1_takes_precedence_until_it_is_deleted() {
    let api = Api::serving(&[Kind::PoolV1, Kind::PoolV1Alpha2]);
    api.put(Kind::PoolV1, "chat", pool_v1("new", &[8000]));
    api.put(Kind::PoolV1Alpha2, "chat", pool_v1alpha2("old", 8000));
    api.put(Kind::Pod, "new-0", ready_pod("new", 1));
    api.put(Kind::Pod, "old-0", ready_pod("old", 2));
    let mut setup = Setup::start(&api);
    assert_eq!(setup.names().await, ["new-0"]);
    api.delete(Kind::PoolV1, "chat");
    assert_eq!(setup.names().await, ["old-0"]);
    api.put(Kind::PoolV1, "chat", pool_v1("new", &[8000]));
    assert_eq!(setup.names().await, ["new-0"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_crd_that_is_installed_later_is_found() {
    let api = Api::serving(&[]);
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let mut setup = Setup::start(&api);
    assert!(setup.names().await.is_empty());
    let why = setup.failing().await;
    assert!(why.starts_with("InferencePool inference/chat: not found"), "{why}");
    assert_eq!(why.matches("does not serve it").count(), 2, "{why}");
    setup.assert_quiet().await;
    api.serve(Kind::PoolV1);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    let mut update = setup.next().await;
    // If v1 was listed between the two calls: it is served now, and the pool is not found.
    if matches!(update, Discovered::Failing { .. }) {
        update = setup.next().await;
    }
    let Discovered::Targets(targets) = update else {
        panic!("{update:?}");
    };
    assert_eq!(targets.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_pool_is_an_empty_set_until_it_is_created() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let mut setup = Setup::start(&api);
    assert!(setup.names().await.is_empty());
    let why = setup.failing().await;
    assert!(why.contains("inference.networking.k8s.io/v1: not found"), "{why}");
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(setup.names().await, ["vllm-0"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pool_has_no_targets_until_it_is_created_again() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.delete(Kind::PoolV1, "chat");
    assert!(setup.names().await.is_empty());
    assert!(setup.failing().await.contains("v1: not found"));
    setup.assert_quiet().await;
    setup.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(setup.names().await, ["vllm-0", "vllm-1"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_selector_replaces_all_targets() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.put(Kind::Pod, "sglang-0", ready_pod("sglang", 3));
    setup.api.put(Kind::PoolV1, "chat", pool_v1("sglang", &[30000]));
    let targets = setup.targets().await;
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].url.as_ref().unwrap(), "http://10.0.0.3:30000/");
    setup.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 4));
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn changed_ports_change_the_targets_without_a_request() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.requests();
    setup.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000, 8001]));
    assert_eq!(setup.names().await, ["vllm-0-rank-0", "vllm-0-rank-1"]);
    assert!(setup.api.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_invalid_pool_leaves_the_last_targets() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.put(
        Kind::PoolV1,
        "chat",
        serde_json::json!({"spec": {"selector": {"matchExpressions": []}}}),
    );
    let why = setup.failing().await;
    assert!(why.contains("matchLabels"), "{why}");
    setup.assert_quiet().await;
    setup.api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    assert_eq!(setup.names().await, ["vllm-0"]);
}
