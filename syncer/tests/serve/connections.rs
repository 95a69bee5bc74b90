//! More connections than the limit, and clients that disconnect without notice.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use infertally_syncer::serve::Limits;
use tokio::net::TcpStream;

use crate::harness::{Fixed, NEVER, SOON, TestServer, eventually, request, without_auth};

const NO_TIMEOUTS: fn() -> Limits = || Limits {
    header_timeout: NEVER,
    idle_timeout: NEVER,
    response_timeout: NEVER,
    close_timeout: NEVER,
    ..Limits::default()
};

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_a_scraper_out() {
    let server = TestServer::start(
        Fixed::small(),
        without_auth(Limits {
            connections: 32,
            eviction_grace: Duration::ZERO,
            ..NO_TIMEOUTS()
        }),
    )
    .await;
    let mut scraper = server.connect().await;
    let mut idle = VecDeque::new();
    for number in 0..1000 {
        idle.push_back(server.connect().await);
        // All but the newest ten have been idle for longer than the scraper, so it is never evicted.
        if number % 10 == 0 {
            assert_eq!(scraper.request("GET", "/metrics", &[]).await.status, 200, "{number}");
        }
        if idle.len() == 32 {
            assert_eq!(idle.pop_front().unwrap().closed().await, b"", "{number}");
        }
    }
    assert_eq!(server.get("/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn when_all_connections_are_busy_a_new_one_waits() {
    let limits = Limits {
        connections: 2,
        response_timeout: 4 * SOON,
        ..NO_TIMEOUTS()
    };
    let server = TestServer::start(Fixed::large(), without_auth(limits)).await;
    let mut stuck = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect_narrow().await;
        client.send(&request("GET", "/metrics", &[])).await.unwrap();
        stuck.push(client);
    }
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn more_concurrent_scrapes_than_connections_succeed() {
    let server = TestServer::start(
        Fixed::small(),
        without_auth(Limits {
            connections: 8,
            pages: 64,
            ..NO_TIMEOUTS()
        }),
    )
    .await;
    let scrapes = (0..64).map(|_| server.get("/metrics", &["accept-encoding: gzip"]));
    assert!(join_all(scrapes).await.iter().all(|response| response.status == 200));
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_slot() {
    let server = TestServer::start(
        Fixed::large(),
        without_auth(Limits {
            connections: 2,
            eviction_grace: Duration::ZERO,
            pages: 1,
            ..NO_TIMEOUTS()
        }),
    )
    .await;
    let page = request("GET", "/metrics", &[]);
    for part in [
        "",
        "GET",
        &page[..page.len() - 2],
        &page,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for reset in [false, true] {
            for _ in 0..4 {
                let mut client = server.connect_narrow().await;
                // The server may have evicted it for the next one.
                _ = client.send(part).await;
                if reset {
                    reset_on_drop(&client.stream);
                }
            }
        }
    }
    eventually(async || server.get("/metrics", &["accept-encoding: gzip"]).await.status == 200).await;
}

/// Makes the close a reset.
fn reset_on_drop(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}
