//! An API server that is unreachable, hangs or denies access: the last targets stay, and the error is sent once.

use std::time::Duration;

use infertally_syncer::discovery::kubernetes::{MetricsEndpoint, RoleLabels, watch};
use tokio::sync::mpsc::channel;
use tokio::time::{Instant, timeout};

use crate::api::{Api, Kind};
use crate::setup::{Setup, pool_v1, ready_pod};

#[tokio::test(start_paused = true)]
async fn an_unreachable_api_server_is_reported_and_targets_are_sent_again_when_it_recovers() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.set_unreachable(true);
    let why = setup.failing().await;
    assert!(
        why.starts_with("InferencePool inference/chat: the API server can't be reached"),
        "{why}"
    );
    assert!(why.contains("connection refused"), "{why}");
    setup.assert_quiet().await;
    setup.api.set_unreachable(false);
    let since = Instant::now();
    assert_eq!(setup.names().await, ["vllm-0", "vllm-1"]);
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn changes_while_the_api_server_was_unreachable_are_sent_together() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.set_unreachable(true);
    setup.failing().await;
    setup.api.delete(Kind::Pod, "vllm-0");
    setup.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 3));
    setup.api.compact();
    setup.api.set_unreachable(false);
    assert_eq!(setup.names().await, ["vllm-1", "vllm-2"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_unreachable_at_the_start_is_retried() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    api.set_unreachable(true);
    let mut setup = Setup::start(&api);
    assert!(setup.failing().await.contains("can't be reached"));
    setup.assert_quiet().await;
    api.set_unreachable(false);
    assert_eq!(setup.names().await, ["vllm-0"]);
}

#[tokio::test(start_paused = true)]
async fn retries_back_off() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.set_unreachable(true);
    setup.failing().await;
    setup.assert_quiet().await;
    setup.api.requests();
    setup.assert_quiet().await;
    let requests = setup.api.requests().len();
    assert!(
        (10..=40).contains(&requests),
        "{requests} requests in five minutes, for two reflectors"
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_is_reported() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.set_hanging(true);
    setup.api.expire_watches();
    let why = setup.failing().await;
    assert!(why.contains("did not respond within 30 s"), "{why}");
    setup.api.set_hanging(false);
    assert_eq!(setup.names().await, ["vllm-0"]);
}

#[tokio::test(start_paused = true)]
async fn missing_permissions_are_reported_in_the_api_servers_words_until_granted() {
    for (verb, kind) in [("list", Kind::Pod), ("watch", Kind::Pod)] {
        let api = Api::serving(&[Kind::PoolV1]);
        api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
        api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
        api.forbid(verb, kind);
        let mut setup = Setup::start(&api);
        if verb == "watch" {
            assert_eq!(
                setup.names().await,
                ["vllm-0"],
                "a list without a watch gives the present targets"
            );
        }
        let why = setup.failing().await;
        assert!(
            why.contains(&format!("User \"syncer\" cannot {verb} resource \"pods\"")),
            "{why}"
        );
        setup.assert_quiet().await;
        api.permit(verb, kind);
        assert_eq!(setup.names().await, ["vllm-0"]);
        setup.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_permission_to_list_pools_there_are_no_targets() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    api.forbid("list", Kind::PoolV1);
    api.forbid("list", Kind::PoolV1Alpha2);
    let mut setup = Setup::start(&api);
    let why = setup.failing().await;
    assert!(why.contains("cannot list resource \"inferencepools\""), "{why}");
    setup.assert_quiet().await;
    api.permit("list", Kind::PoolV1);
    assert_eq!(setup.names().await, ["vllm-0"]);
}

#[tokio::test(start_paused = true)]
async fn revoked_permissions_leave_the_last_targets() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.forbid("list", Kind::Pod);
    setup.api.forbid("watch", Kind::Pod);
    for verb in ["watch", "list"] {
        let why = setup.failing().await;
        assert!(why.contains(&format!("cannot {verb} resource \"pods\"")), "{why}");
    }
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn permissions_for_v1_suffice_and_a_deleted_pool_is_noticed() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.forbid("list", Kind::PoolV1Alpha2);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let mut setup = Setup::start(&api);
    assert_eq!(setup.names().await, ["vllm-0"]);
    api.delete(Kind::PoolV1, "chat");
    assert!(setup.names().await.is_empty());
    let why = setup.failing().await;
    assert!(
        why.contains("v1: not found") && why.contains("v1alpha2: inferencepools is forbidden"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn discovery_ends_when_the_receiver_is_dropped() {
    let api = Api::serving(&[Kind::PoolV1]);
    let (out, updates) = channel(1);
    let task = tokio::spawn(watch(
        api.client(),
        "chat".parse().unwrap(),
        MetricsEndpoint::default(),
        RoleLabels::default(),
        out,
    ));
    drop(updates);
    timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
}
