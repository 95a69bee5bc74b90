//! More clients than there is room for, and clients that go without a word.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use infertally_syncer::serve::Limits;
use tokio::net::TcpStream;

use crate::stage::{Fixed, NEVER, Running, SOON, open, request, until};

const FOR_EVER: fn() -> Limits = || Limits {
    head: NEVER,
    idle: NEVER,
    answer: NEVER,
    farewell: NEVER,
    ..Limits::default()
};

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let server = Running::start(
        Fixed::small(),
        open(Limits {
            connections: 32,
            settle: Duration::ZERO,
            ..FOR_EVER()
        }),
    )
    .await;
    let mut scraper = server.connect().await;
    let mut idle = VecDeque::new();
    for number in 0..1000 {
        idle.push_back(server.connect().await);
        // The scraper was active after all but the newest ten, so it is never the one that goes.
        if number % 10 == 0 {
            assert_eq!(scraper.ask("GET", "/metrics", &[]).await.status, 200, "{number}");
        }
        if idle.len() == 32 {
            assert_eq!(idle.pop_front().unwrap().closed().await, b"", "{number}");
        }
    }
    assert_eq!(server.get("/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn when_all_are_busy_the_next_waits_its_turn() {
    let limits = Limits {
        connections: 2,
        answer: 4 * SOON,
        ..FOR_EVER()
    };
    let server = Running::start(Fixed::large(), open(limits)).await;
    let mut stuck = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect_narrow().await;
        client.send(&request("GET", "/metrics", &[])).await.unwrap();
        stuck.push(client);
    }
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn many_scrape_at_once() {
    let server = Running::start(
        Fixed::small(),
        open(Limits {
            connections: 8,
            pages: 64,
            ..FOR_EVER()
        }),
    )
    .await;
    let scrapes = (0..64).map(|_| server.get("/metrics", &["accept-encoding: gzip"]));
    assert!(join_all(scrapes).await.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn who_goes_without_a_word_leaves_its_room() {
    let server = Running::start(
        Fixed::large(),
        open(Limits {
            connections: 2,
            settle: Duration::ZERO,
            pages: 1,
            ..FOR_EVER()
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
                // The server may have closed it for the next one.
                _ = client.send(part).await;
                if reset {
                    reset_on_drop(&client.stream);
                }
            }
        }
    }
    until(async || server.get("/metrics", &["accept-encoding: gzip"]).await.status == 200).await;
}

/// A close that throws away what is under way.
fn reset_on_drop(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}
