//! Watches that are interrupted, expire or time out: changes in the meantime are found, and no failure is sent.

use crate::api::{Interruption, Kind};
use crate::setup::{Setup, ready_pod};

fn lists(requests: &[String]) -> usize {
    requests.iter().filter(|request| request.starts_with("list ")).count()
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_resumes_without_a_list() {
    for how in [Interruption::End, Interruption::Partial] {
        let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
        setup.api.interrupt(how);
        setup.api.delete(Kind::Pod, "vllm-0");
        setup.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 3));
        assert_eq!(setup.names().await, ["vllm-1", "vllm-2"], "{how:?}");
        assert_eq!(lists(&setup.api.requests()), 0, "{how:?}");
        setup.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_reset_is_not_reported() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.interrupt(Interruption::Reset);
    setup.api.delete(Kind::Pod, "vllm-0");
    assert_eq!(setup.names().await, ["vllm-1"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_lists_again() {
    let mut setup = Setup::with_pods(&["vllm-0", "vllm-1"]).await;
    setup.api.expire_watches();
    setup.api.delete(Kind::Pod, "vllm-0");
    setup.api.compact();
    assert_eq!(setup.names().await, ["vllm-1"]);
    assert!(lists(&setup.api.requests()) > 0);
    setup.api.put(Kind::Pod, "vllm-2", ready_pod("vllm", 3));
    assert_eq!(setup.names().await, ["vllm-1", "vllm-2"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_resource_version_is_too_old_lists_again() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.interrupt(Interruption::End);
    setup.api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    setup.api.compact();
    assert_eq!(setup.names().await, ["vllm-0", "vllm-1"]);
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_resumes_from_the_last_bookmark() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    setup.api.bookmark();
    setup.settle().await;
    setup.api.compact();
    setup.api.requests();
    setup.api.interrupt(Interruption::End);
    setup.api.put(Kind::Pod, "vllm-1", ready_pod("vllm", 2));
    assert_eq!(setup.names().await, ["vllm-0", "vllm-1"]);
    assert_eq!(lists(&setup.api.requests()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_events_is_requested_again() {
    let mut setup = Setup::with_pods(&["vllm-0"]).await;
    // The mock never ends a watch by itself, like a peer that has vanished.
    setup.assert_quiet().await;
    let requests = setup.api.requests();
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
