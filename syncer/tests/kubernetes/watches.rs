//! Watches that are cut, expire or run out: what changed meanwhile is found, and nobody is told of the mishap.

use crate::api::{Cut, Kind};
use crate::stage::{Stage, ready_pod};

fn lists(requests: &[String]) -> usize {
    requests.iter().filter(|request| request.starts_with("list ")).count()
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_resumes_where_it_was_without_a_list() {
    for how in [Cut::End, Cut::Halfway] {
        let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
        stage.api.cut(how);
        stage.api.delete(Kind::Pod, "vllm-0");
        stage.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 3));
        assert_eq!(stage.names().await, ["vllm-1", "vllm-2"], "{how:?}");
        assert_eq!(lists(&stage.api.requests()), 0, "{how:?}");
        stage.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_mended_in_silence() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.cut(Cut::Reset);
    stage.api.delete(Kind::Pod, "vllm-0");
    assert_eq!(stage.names().await, ["vllm-1"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_told_that_it_is_out_of_date_lists_again() {
    let mut stage = Stage::with_pods(&["vllm-0", "vllm-1"]).await;
    stage.api.expire();
    stage.api.delete(Kind::Pod, "vllm-0");
    stage.api.forget();
    assert_eq!(stage.names().await, ["vllm-1"]);
    assert!(lists(&stage.api.requests()) > 0);
    stage.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 3));
    assert_eq!(stage.names().await, ["vllm-1", "vllm-2"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_resume_because_its_place_is_forgotten_lists_again() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.cut(Cut::End);
    stage.api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    stage.api.forget();
    assert_eq!(stage.names().await, ["vllm-0", "vllm-1"]);
    stage.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_moves_the_place_from_which_a_watch_resumes() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    stage.api.bookmark();
    stage.settle().await;
    stage.api.forget();
    stage.api.requests();
    stage.api.cut(Cut::End);
    stage.api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    assert_eq!(stage.names().await, ["vllm-0", "vllm-1"]);
    assert_eq!(lists(&stage.api.requests()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_over_which_nothing_comes_is_asked_for_again() {
    let mut stage = Stage::with_pods(&["vllm-0"]).await;
    // The mock never ends a watch by itself, as a peer that vanished.
    stage.quiet().await;
    let requests = stage.api.requests();
    assert!(
        requests
            .iter()
            .filter(|request| request.starts_with("watch /api/v1/"))
            .count()
            >= 4,
        "{requests:?}"
    );
    assert_eq!(lists(&requests), 0);
}
