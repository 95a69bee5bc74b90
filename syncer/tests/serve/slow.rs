//! Clients that send or read too slowly, or too much.

use std::time::Duration;

use infertally_syncer::exposition::Format;
use infertally_syncer::serve::Limits;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::stage::{Client, Fixed, NEVER, Running, SOON, open, request, until, within};

/// Sends a byte now and then, until the server has had enough.
async fn drip(client: Client) {
    let Client { stream, .. } = client;
    let (mut reading, mut writing) = stream.into_split();
    let dripping = async {
        while writing.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let closed = async {
        while tokio::io::copy(&mut reading, &mut tokio::io::sink())
            .await
            .is_ok_and(|count| count > 0)
        {}
    };
    within(async {
        tokio::select! { () = dripping => {}, () = closed => {} }
    })
    .await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let limits = Limits {
        head: SOON,
        farewell: SOON,
        idle: NEVER,
        ..Limits::default()
    };
    let server = Running::start(Fixed::small(), open(limits)).await;
    let mut drips = Vec::new();
    for beginning in [
        "",
        "G",
        "GET /metrics HTTP/1.1\r\nx: ",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(beginning).await.unwrap();
        drips.push(tokio::spawn(drip(client)));
    }
    assert_eq!(server.get("/metrics", &[]).await.status, 200);
    for drip in drips {
        drip.await.unwrap();
    }
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_cut_off() {
    let limits = Limits {
        head: SOON,
        farewell: SOON,
        idle: NEVER,
        ..Limits::default()
    };
    let server = Running::start(Fixed::small(), open(limits)).await;
    assert_eq!(server.connect().await.closed().await, b"");
}

#[tokio::test]
async fn a_connection_is_kept_between_scrapes_and_closed_when_none_come() {
    let limits = Limits {
        head: SOON,
        idle: 4 * SOON,
        ..Limits::default()
    };
    let server = Running::start(Fixed::small(), open(limits)).await;
    let mut client = server.connect().await;
    for _ in 0..10 {
        assert_eq!(client.ask("GET", "/metrics", &[]).await.status, 200);
    }
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn who_does_not_read_an_answer_loses_it_and_its_place() {
    let limits = Limits {
        pages: 1,
        turn: SOON,
        answer: 10 * SOON,
        idle: NEVER,
        ..Limits::default()
    };
    let pages = Fixed::large();
    let server = Running::start(pages.clone(), open(limits)).await;
    let mut stuck = server.connect_narrow().await;
    stuck.send(&request("GET", "/metrics", &[])).await.unwrap();
    let refused = async || {
        let answer = server.get("/metrics", &["accept-encoding: gzip"]).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        answer.status == 503
    };
    until(refused).await;
    assert_eq!(server.get("/healthz", &[]).await.status, 200, "only pages are counted");
    until(async || !refused().await).await;
    let received = stuck.closed().await;
    assert!(
        received.len() < pages.page(Format::Text).len(),
        "{} bytes",
        received.len()
    );
}

#[tokio::test]
async fn a_page_waits_for_its_turn() {
    let limits = Limits {
        pages: 1,
        turn: NEVER,
        farewell: SOON,
        ..Limits::default()
    };
    let server = Running::start(Fixed::large(), open(limits)).await;
    let mut reading = server.connect_narrow().await;
    reading.send(&request("GET", "/metrics", &[])).await.unwrap();
    within(reading.stream.readable()).await.unwrap();
    let mut waiting = server.connect().await;
    waiting.send(&request("GET", "/metrics", &[])).await.unwrap();
    let early = timeout(SOON, waiting.answer("GET")).await;
    assert!(early.is_err(), "answered while the place is taken: {early:?}");
    drop(reading);
    assert_eq!(waiting.answer("GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Running::plain().await;
    let long = format!("x: {}", "a".repeat(20_000));
    let many: Vec<_> = (0..80).map(|number| format!("x-{number}: a")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let token = format!("authorization: Bearer {}", "a".repeat(8_000));
    assert_eq!(server.get("/healthz", &[&long]).await.status, 431);
    assert_eq!(server.get("/healthz", &many).await.status, 431);
    assert_eq!(server.get("/healthz", &many[..60]).await.status, 200);
    assert_eq!(server.get("/healthz", &[&token]).await.status, 200);
    assert_eq!(server.get(&format!("/{}", "a".repeat(20_000)), &[]).await.status, 431);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let server = Running::plain().await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(bytes).await.unwrap();
        let said = client.closed().await;
        assert!(
            said.starts_with(b"HTTP/1.1 400 "),
            "{bytes:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}

#[tokio::test]
async fn a_body_is_not_read() {
    let server = Running::plain().await;
    for framing in ["content-length: 1000000000", "transfer-encoding: chunked"] {
        let mut client = server.connect().await;
        client.send(&request("GET", "/metrics", &[framing])).await.unwrap();
        assert_eq!(client.answer("GET").await.unwrap().status, 200, "{framing}");
        let chunk = [b'f'; 64 * 1024];
        let sent = async {
            let mut sent = 0;
            while client.stream.write_all(&chunk).await.is_ok() {
                sent += chunk.len();
            }
            sent
        };
        assert!(within(sent).await < 100_000_000, "{framing}");
    }
}

#[tokio::test]
async fn who_waits_to_be_told_to_send_a_body_is_answered_instead() {
    let server = Running::plain().await;
    let mut client = server.connect().await;
    let answer = client
        .ask("GET", "/metrics", &["content-length: 10", "expect: 100-continue"])
        .await;
    assert_eq!(answer.status, 200);
}
