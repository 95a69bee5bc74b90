//! How an Envoy starts for a test: one whose port is taken fails at once, not after the patience with one that never responds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::net::TcpListener;
use std::time::Duration;

use infertally_harness::envoy::{Binaries, Envoy, Ports, loopback};
use tokio::time::timeout;

/// More than a start takes on a busy machine, and less than the patience.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_envoy_whose_ports_are_taken_fails_at_once() {
    let ports = Ports::reserve(loopback(9)).unwrap();
    // They listen and never respond.
    let _taken = [&ports.listener, &ports.admin, &ports.stats].map(|port| TcpListener::bind(port.address()).unwrap());
    let binaries = Binaries::from_env().unwrap();
    let start = Envoy::start_on(&binaries, ports, 1, Ok);
    let error = timeout(AT_ONCE, start).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("Address already in use"), "{error}");
}
