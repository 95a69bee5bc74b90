//! How an Envoy starts for a test: one that can't have its ports says so at once, so that another start may follow.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use std::net::TcpListener;
use std::time::Duration;

use infertally_harness::envoy::{Binaries, Envoy, Ports, loopback};
use tokio::time::timeout;

/// More than a start takes on a busy machine, and less than the patience with one that does not come.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_envoy_whose_port_is_taken_says_so_at_once() {
    // They listen and never answer.
    let held = [(); 3].map(|()| TcpListener::bind(loopback(0)).unwrap());
    let [listener, admin, stats] = held.each_ref().map(|held| held.local_addr().unwrap().port());
    let ports = Ports {
        listener,
        admin,
        stats,
        upstream: 9,
    };
    let binaries = Binaries::from_env().unwrap();
    let started = Envoy::start_on(&binaries, ports, 1, Ok);
    let error = timeout(AT_ONCE, started).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("Address already in use"), "{error}");
}
