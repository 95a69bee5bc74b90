//! Clients that disconnect during the response, at any point: one record each with the bytes that passed, no error, and
//! nothing running afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, STREAM, tiny_admitted};
use infertally_harness::client;
use infertally_harness::connection::{Connection, Disconnect};
use infertally_harness::message::Kind;
use infertally_harness::upstream::Upstream;
use infertally_oracle::{Measured, Outcome};
use infertally_sim::{Sim, SimConfig};

async fn simulated() -> (Sim, CheckedEnvoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = CheckedEnvoy::start(sim.addr(), tiny_admitted).await.unwrap();
    (sim, envoy)
}

fn request(x_sim: &str, body: &[u8]) -> Vec<u8> {
    client::request("POST", COMPLETIONS, &[("x-sim", x_sim)], body)
}

#[tokio::test]
async fn a_client_disconnect_before_the_response_is_no_error() {
    let (_sim, mut envoy) = simulated().await;
    for disconnect in Disconnect::ALL {
        for body in [PROMPT, STREAM] {
            let mut connection = Connection::connect(envoy.listener()).await.unwrap();
            connection.send(request("hang=headers", body)).await.unwrap();
            envoy.wait_for_running(1).await.unwrap();
            connection.disconnect(disconnect);
            envoy
                .check_after(Measured::cancelled(body.len(), 0))
                .await
                .unwrap_or_else(|error| panic!("{disconnect:?}: {error}"));
        }
    }
}

const TEXT: &str = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"died\"}}\n\n";
const DOCUMENT: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

/// What the exchange must be measured as, from a cancelled one.
type Change = fn(Measured) -> Measured;

/// The server sends this much of a chunked body and then nothing; the client disconnects when it has received it.
async fn disconnect_after(content_type: &'static str, bodies: Vec<(String, Change)>) {
    let sent: Vec<_> = bodies.iter().map(|(body, _)| body.clone()).collect();
    let upstream = Upstream::responding(move |mut connection: Connection, _, before| {
        let body = sent[before / Disconnect::ALL.len()].clone();
        async move {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
            connection.send(head).await?;
            if !body.is_empty() {
                connection.send(format!("{:x}\r\n{body}\r\n", body.len())).await?;
            }
            connection.wait_for_close().await.map(|_| None)
        }
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), tiny_admitted).await.unwrap();
    for (body, change) in bodies {
        for disconnect in Disconnect::ALL {
            let mut connection = Connection::connect(envoy.listener()).await.unwrap();
            connection.send(request("", STREAM)).await.unwrap();
            connection.wait_for("\r\n\r\n").await.unwrap();
            connection.wait_for(&body).await.unwrap();
            envoy.wait_for_running(1).await.unwrap();
            connection.disconnect(disconnect);
            envoy
                .check_after(change(Measured::cancelled(STREAM.len(), body.len())))
                .await
                .unwrap_or_else(|error| panic!("{disconnect:?} after {body:?}: {error}"));
        }
    }
}

/// The exchange of a client that disconnected when it had the complete response.
fn complete(cancelled: Measured) -> Measured {
    Measured {
        outcome: Outcome::Success,
        ..cancelled.tokens(3, 4)
    }
}

#[tokio::test]
async fn a_client_disconnect_in_a_stream_is_no_error_and_reported_tokens_count() {
    disconnect_after(
        "text/event-stream",
        vec![
            (String::new(), |cancelled| cancelled),
            (TEXT.into(), |cancelled| cancelled),
            (TEXT[..40].into(), |cancelled| cancelled),
            ([TEXT, FINISH].concat(), |cancelled| cancelled),
            // The client has everything: many disconnect without waiting for the end marker.
            ([TEXT, FINISH, USAGE].concat(), complete),
            ([TEXT, FINISH, USAGE, &DONE[..10]].concat(), complete),
            ([TEXT, FINISH, USAGE, DONE].concat(), complete),
            // The error came first.
            ([TEXT, ERROR].concat(), |cancelled| cancelled.failed("StreamError")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_client_disconnect_in_a_document_is_no_error() {
    disconnect_after(
        "application/json",
        vec![
            (String::new(), |cancelled| cancelled),
            (DOCUMENT[..DOCUMENT.len() - 1].into(), |cancelled| cancelled),
            (DOCUMENT.into(), complete),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_client_disconnect_in_an_error_response_has_the_errors_code() {
    let upstream = Upstream::responding(|mut connection: Connection, _, _| async move {
        connection
            .send("HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\nno")
            .await?;
        connection.wait_for_close().await.map(|_| None)
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), tiny_admitted).await.unwrap();
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    connection.send(request("", PROMPT)).await.unwrap();
    connection.wait_for("\r\n\r\nno").await.unwrap();
    drop(connection);
    envoy
        .check_after(Measured::cancelled(PROMPT.len(), 2).failed("ModelServerError"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_disconnect_after_the_last_byte_is_a_success() {
    let (_sim, mut envoy) = simulated().await;
    for disconnect in Disconnect::ALL {
        for body in [PROMPT, STREAM] {
            let mut connection = Connection::connect(envoy.listener()).await.unwrap();
            let keep_alive = String::from_utf8(request("", body))
                .unwrap()
                .replace("connection: close\r\n", "");
            connection.send(keep_alive).await.unwrap();
            let response = connection.read_message(Kind::Response).await.unwrap().into();
            connection.disconnect(disconnect);
            envoy.check_after(Measured::simulated(body, &response)).await.unwrap();
        }
    }
}
