//! Clients that send or read too slowly, or send too much.

use std::time::Duration;

use infertally_syncer::exposition::Format;
use infertally_syncer::serve::Limits;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::harness::{Client, Fixed, NEVER, SOON, TestServer, eventually, in_time, request, without_auth};

/// Sends a byte every 10 ms until the server closes the connection.
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
    in_time(async {
        tokio::select! { () = dripping => {}, () = closed => {} }
    })
    .await;
}

#[tokio::test]
async fn a_request_head_that_arrives_byte_by_byte_times_out() {
    let limits = Limits {
        header_timeout: SOON,
        close_timeout: SOON,
        idle_timeout: NEVER,
        ..Limits::default()
    };
    let server = TestServer::start(Fixed::small(), without_auth(limits)).await;
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
async fn a_connection_without_a_request_times_out() {
    let limits = Limits {
        header_timeout: SOON,
        close_timeout: SOON,
        idle_timeout: NEVER,
        ..Limits::default()
    };
    let server = TestServer::start(Fixed::small(), without_auth(limits)).await;
    assert_eq!(server.connect().await.closed().await, b"");
}

#[tokio::test]
async fn a_connection_is_kept_between_scrapes_and_closed_when_idle() {
    let limits = Limits {
        header_timeout: SOON,
        idle_timeout: 4 * SOON,
        ..Limits::default()
    };
    let server = TestServer::start(Fixed::small(), without_auth(limits)).await;
    let mut client = server.connect().await;
    for _ in 0..10 {
        assert_eq!(client.request("GET", "/metrics", &[]).await.status, 200);
    }
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_reset_and_its_page_freed() {
    let limits = Limits {
        pages: 1,
        page_wait: SOON,
        response_timeout: 10 * SOON,
        idle_timeout: NEVER,
        ..Limits::default()
    };
    let pages = Fixed::large();
    let server = TestServer::start(pages.clone(), without_auth(limits)).await;
    let mut stuck = server.connect_narrow().await;
    stuck.send(&request("GET", "/metrics", &[])).await.unwrap();
    let refused = async || {
        let response = server.get("/metrics", &["accept-encoding: gzip"]).await;
        if response.status == 503 {
            assert_eq!(response.header("retry-after"), Some("1"));
        }
        response.status == 503
    };
    eventually(refused).await;
    assert_eq!(server.get("/healthz", &[]).await.status, 200, "only pages take permits");
    eventually(async || !refused().await).await;
    let received = stuck.closed().await;
    assert!(
        received.len() < pages.page(Format::Text).len(),
        "{} bytes",
        received.len()
    );
}

#[tokio::test]
async fn a_scrape_waits_for_a_page_permit() {
    let limits = Limits {
        pages: 1,
        page_wait: NEVER,
        close_timeout: SOON,
        ..Limits::default()
    };
    let server = TestServer::start(Fixed::large(), without_auth(limits)).await;
    let mut reading = server.connect_narrow().await;
    reading.send(&request("GET", "/metrics", &[])).await.unwrap();
    in_time(reading.stream.readable()).await.unwrap();
    let mut waiting = server.connect().await;
    waiting.send(&request("GET", "/metrics", &[])).await.unwrap();
    let early = timeout(SOON, waiting.response("GET")).await;
    assert!(early.is_err(), "response without a permit: {early:?}");
    drop(reading);
    assert_eq!(waiting.response("GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_oversized_request_head_is_431() {
    let server = TestServer::plain().await;
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
async fn malformed_requests_are_400() {
    let server = TestServer::plain().await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(bytes).await.unwrap();
        let response = client.closed().await;
        assert!(
            response.starts_with(b"HTTP/1.1 400 "),
            "{bytes:?}: {}",
            String::from_utf8_lossy(&response)
        );
    }
}

#[tokio::test]
async fn a_request_body_is_not_read() {
    let server = TestServer::plain().await;
    for framing in ["content-length: 1000000000", "transfer-encoding: chunked"] {
        let mut client = server.connect().await;
        client.send(&request("GET", "/metrics", &[framing])).await.unwrap();
        assert_eq!(client.response("GET").await.unwrap().status, 200, "{framing}");
        let chunk = [b'f'; 64 * 1024];
        let sent = async {
            let mut sent = 0;
            while client.stream.write_all(&chunk).await.is_ok() {
                sent += chunk.len();
            }
            sent
        };
        assert!(in_time(sent).await < 100_000_000, "{framing}");
    }
}

#[tokio::test]
async fn expect_100_continue_gets_the_response_at_once() {
    let server = TestServer::plain().await;
    let mut client = server.connect().await;
    let response = client
        .request("GET", "/metrics", &["content-length: 10", "expect: 100-continue"])
        .await;
    assert_eq!(response.status, 200);
}
