//! Incomplete requests: the client disconnects in the body, stalls, violates the protocol, or receives the response early.
//! One record each with the bytes that passed, and nothing running afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, tiny_admitted};
use infertally_harness::connection::{Connection, Disconnect};
use infertally_harness::message::Kind;
use infertally_harness::upstream::Upstream;
use infertally_oracle::{Measured, Outcome};
use infertally_sim::{Sim, SimConfig};
use tokio::sync::mpsc;

const LENGTH: &str = "content-length: 1000";
const CHUNKED: &str = "transfer-encoding: chunked";
/// All that is sent of a body.
const PART: &str = r#"{"model":"tiny","prompt":"half of"#;

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A server that reports when it has the part of the body, responds with these bytes, and waits for the connection's end.
async fn waiting(response: &'static str) -> (Upstream, mpsc::UnboundedReceiver<()>) {
    let (received, receiving) = mpsc::unbounded_channel();
    let upstream = Upstream::start(move |mut connection| {
        let received = received.clone();
        async move {
            connection.wait_for("half of").await?;
            connection.send(response).await?;
            received.send(())?;
            connection.wait_for_close().await.map(drop)
        }
    })
    .await
    .unwrap();
    (upstream, receiving)
}

/// A connection that has sent the head and a part of the body.
async fn half_sent(envoy: &CheckedEnvoy, headers: &str, body: &str) -> Connection {
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    let head = format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: test\r\n{headers}\r\n\r\n");
    connection.send(format!("{head}{body}")).await.unwrap();
    connection
}

#[tokio::test]
async fn a_client_disconnect_in_the_request_is_no_error() {
    let (upstream, mut receiving) = waiting("").await;
    let mut envoy = CheckedEnvoy::start(upstream.addr(), tiny_admitted).await.unwrap();
    for disconnect in Disconnect::ALL {
        for (headers, body) in [(LENGTH, PART.to_owned()), (CHUNKED, chunk(PART))] {
            let connection = half_sent(&envoy, headers, &body).await;
            receiving.recv().await.unwrap();
            connection.disconnect(disconnect);
            envoy
                .check_after(Measured::cancelled(PART.len(), 0))
                .await
                .unwrap_or_else(|error| panic!("{disconnect:?} in {headers}: {error}"));
        }
    }
}

#[tokio::test]
async fn an_incomplete_head_is_no_request() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let mut envoy = CheckedEnvoy::start(sim.addr(), tiny_admitted).await.unwrap();
    for disconnect in Disconnect::ALL {
        let mut connection = Connection::connect(envoy.listener()).await.unwrap();
        connection
            .send(format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: te"))
            .await
            .unwrap();
        connection.disconnect(disconnect);
        let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
        envoy.check_after(Measured::simulated(PROMPT, &response)).await.unwrap();
    }
}

#[tokio::test]
async fn a_stalled_request_is_a_timeout() {
    let (upstream, _receiving) = waiting("").await;
    let mut envoy = CheckedEnvoy::start(upstream.addr(), |config| {
        tiny_admitted(config)?.replace("idle_timeout: 300s", "idle_timeout: 0.2s")
    })
    .await
    .unwrap();
    let mut connection = half_sent(&envoy, LENGTH, PART).await;
    let response = connection.read_message(Kind::Response).await.unwrap();
    assert_eq!(response.status(), 408);
    let exchange = Measured::cancelled(PART.len(), response.body.len()).failed("Timeout");
    envoy.check_after(exchange).await.unwrap();
}

#[tokio::test]
async fn an_early_response_is_the_response() {
    for (early, status, code) in [
        (
            "HTTP/1.1 413 Early\r\ncontent-length: 5\r\n\r\nearly",
            413,
            Some("BadRequest"),
        ),
        ("HTTP/1.1 200 Early\r\ncontent-length: 5\r\n\r\nearly", 200, None),
    ] {
        let (upstream, _receiving) = waiting(early).await;
        let mut envoy = CheckedEnvoy::start(upstream.addr(), tiny_admitted).await.unwrap();
        let mut connection = half_sent(&envoy, LENGTH, PART).await;
        let response = connection.read_message(Kind::Response).await.unwrap();
        assert_eq!((response.status(), response.complete), (status, true));
        let exchange = Measured {
            outcome: code.map_or(Outcome::Success, Outcome::Failed),
            ..Measured::cancelled(PART.len(), 5)
        };
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{status}: {error}"));
    }
}

#[tokio::test]
async fn a_protocol_violation_has_the_code_of_envoys_reply() {
    let (upstream, mut receiving) = waiting("").await;
    let mut envoy = CheckedEnvoy::start(upstream.addr(), tiny_admitted).await.unwrap();
    let mut connection = half_sent(&envoy, CHUNKED, &chunk(PART)).await;
    receiving.recv().await.unwrap();
    connection.send("this is no chunk\r\n").await.unwrap();
    let response = connection.read_message(Kind::Response).await.unwrap();
    assert_eq!(response.status(), 400);
    let exchange = Measured::cancelled(PART.len(), response.body.len()).failed("BadRequest");
    envoy.check_after(exchange).await.unwrap();
}

#[tokio::test]
async fn a_protocol_violation_during_the_response_is_not_the_servers_error() {
    let begun =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n7\r\ndata: a\r\n";
    let (upstream, _receiving) = waiting(begun).await;
    let mut envoy = CheckedEnvoy::start(upstream.addr(), tiny_admitted).await.unwrap();
    let mut connection = half_sent(&envoy, CHUNKED, &chunk(PART)).await;
    connection.wait_for("data: a").await.unwrap();
    connection.send("this is no chunk\r\n").await.unwrap();
    connection.wait_for_close().await.unwrap();
    envoy.check_after(Measured::cancelled(PART.len(), 7)).await.unwrap();
}
