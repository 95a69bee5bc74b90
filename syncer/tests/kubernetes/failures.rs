//! An API server that is away, silent or refuses: the last known targets stay, and why is told once.

use std::time::Duration;

use infertally_syncer::discovery::kubernetes::watch;
use tokio::sync::mpsc::channel;
use tokio::time::{Instant, timeout};

use crate::api::{Api, Kind};
use crate::stage::{Stage, pool_v1, ready_pod};

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_the_last_targets_stay_and_then_they_are_told_again() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.away(true);
    let why = stage.failing().await;
    assert!(
        why.starts_with("InferencePool inference/chat: the API server can't be reached"),
        "{why}"
    );
    assert!(why.contains("connection refused"), "{why}");
    stage.quiet().await;
    stage.api.away(false);
    let since = Instant::now();
    assert_eq!(stage.names().await, ["vllm-0", "vllm-1"]);
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_the_api_server_was_away_is_swapped_in_whole() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.away(true);
    stage.failing().await;
    stage.api.delete(Kind::Pod, "vllm-0");
    stage.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 3));
    stage.api.forget();
    stage.api.away(false);
    assert_eq!(stage.names().await, ["vllm-1", "vllm-2"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_at_the_start_is_waited_for() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    api.away(true);
    let mut stage = Stage::start(&api);
    assert!(stage.failing().await.contains("can't be reached"));
    stage.quiet().await;
    api.away(false);
    assert_eq!(stage.names().await, ["vllm-0"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_less_and_less_often() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.away(true);
    stage.failing().await;
    stage.quiet().await;
    stage.api.requests();
    stage.quiet().await;
    let asked = stage.api.requests().len();
    assert!(
        (10..=40).contains(&asked),
        "{asked} requests in five minutes, of two watches"
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_is_a_failure_too() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.silent(true);
    stage.api.expire();
    let why = stage.failing().await;
    assert!(why.contains("did not answer within 30 s"), "{why}");
    stage.api.silent(false);
    assert_eq!(stage.names().await, ["vllm-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_in_the_api_servers_words_until_it_is_given() {
    for (verb, kind) in [("list", Kind::Pod), ("watch", Kind::Pod)] {
        let api = Api::serving(&[Kind::PoolV1]);
        api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
        api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
        api.forbid(verb, kind);
        let mut stage = Stage::start(&api);
        if verb == "watch" {
            assert_eq!(
                stage.names().await,
                ["vllm-0"],
                "lists alone give the targets of the moment"
            );
        }
        let why = stage.failing().await;
        assert!(
            why.contains(&format!("User \"syncer\" cannot {verb} resource \"pods\"")),
            "{why}"
        );
        stage.quiet().await;
        api.permit(verb, kind);
        assert_eq!(stage.names().await, ["vllm-0"]);
        stage.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_see_pools_nothing_is_known() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    api.forbid("list", Kind::PoolV1);
    api.forbid("list", Kind::PoolV1Alpha2);
    let mut stage = Stage::start(&api);
    let why = stage.failing().await;
    assert!(why.contains("cannot list resource \"inferencepools\""), "{why}");
    stage.quiet().await;
    api.permit("list", Kind::PoolV1);
    assert_eq!(stage.names().await, ["vllm-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_leaves_the_last_targets() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.forbid("list", Kind::Pod);
    stage.api.forbid("watch", Kind::Pod);
    for verb in ["watch", "list"] {
        let why = stage.failing().await;
        assert!(why.contains(&format!("cannot {verb} resource \"pods\"")), "{why}");
    }
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_role_for_v1_alone_is_enough_and_its_pool_can_go() {
    let api = Api::serving(&[Kind::PoolV1]);
    api.forbid("list", Kind::PoolV1Alpha2);
    api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
    api.put(Kind::Pod, "vllm-0", ready_pod("vllm", 1));
    let mut stage = Stage::start(&api);
    assert_eq!(stage.names().await, ["vllm-0"]);
    api.delete(Kind::PoolV1, "chat");
    assert!(stage.names().await.is_empty());
    let why = stage.failing().await;
    assert!(
        why.contains("v1: none of that name") && why.contains("v1alpha2: inferencepools is forbidden"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn discovery_ends_when_nobody_listens() {
    let api = Api::serving(&[Kind::PoolV1]);
    let (out, told) = channel(1);
    let task = tokio::spawn(watch(api.client(), "chat".parse().unwrap(), out));
    drop(told);
    timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
}
