//! HTTP framing: chunks, pipelining, trailers, 1xx responses and upgrades change no number, and requests that are not measured
//! leave no series.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use bytes::Bytes;
use http::HeaderMap;
use infertally_harness::Result;
use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, STREAM};
use infertally_harness::connection::Connection;
use infertally_harness::edits::{self, HTTP2};
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::http2::{Client, Goaway, Server, read_body, send_headers};
use infertally_harness::message::{Kind, Message};
use infertally_harness::upstream::Upstream;
use infertally_oracle::Measured;
use infertally_sim::{Sim, SimConfig};

const DOCUMENT: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

async fn simulated() -> (Sim, CheckedEnvoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = CheckedEnvoy::start(sim.addr(), Ok).await.unwrap();
    (sim, envoy)
}

/// Enables trailers over HTTP/1.1.
fn trailers(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let config = edits::connection_manager(config, "http_protocol_options: {enable_trailers: true}")?;
    let http1 = HTTP2.replace(
        "http2_protocol_options: {}",
        "http_protocol_options: {enable_trailers: true}",
    );
    edits::model_server(config, &http1)
}

fn chunked(body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

/// The head of a completion over a keep-alive connection.
fn post(headers: &str) -> String {
    format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{headers}\r\n")
}

fn measured(body: &[u8], response: Message) -> Measured {
    Measured::simulated(body, &response.into())
}

#[tokio::test]
async fn chunked_requests_have_the_size_of_their_bodies() {
    let (_sim, mut envoy) = simulated().await;
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    for size in [1, 7, 1000] {
        for body in [PROMPT, STREAM] {
            connection.send(post("transfer-encoding: chunked\r\n")).await.unwrap();
            connection.send(chunked(body, size, "")).await.unwrap();
            let response = connection.read_message(Kind::Response).await.unwrap();
            assert_eq!(response.status(), 200);
            envoy.check_after(measured(body, response)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn pipelined_requests_are_separate_exchanges() {
    let (_sim, mut envoy) = simulated().await;
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    let bodies = [PROMPT, STREAM, b"{}", STREAM, PROMPT];
    let mut all = Vec::new();
    for body in bodies {
        all.extend_from_slice(post(&format!("content-length: {}\r\n", body.len())).as_bytes());
        all.extend_from_slice(body);
    }
    connection.send(all).await.unwrap();
    for body in bodies {
        let response = connection.read_message(Kind::Response).await.unwrap();
        let failed = response.status() == 400;
        assert_eq!(failed, body == b"{}");
        let exchange = measured(body, response);
        envoy.add(if failed {
            exchange.failed("BadRequest")
        } else {
            exchange
        });
    }
    envoy.check().await.unwrap();
}

#[tokio::test]
async fn a_post_without_a_body_has_size_0() {
    let (_sim, mut envoy) = simulated().await;
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    for headers in ["content-length: 0\r\n", "", "transfer-encoding: chunked\r\n"] {
        connection.send(post(headers)).await.unwrap();
        if headers.contains("chunked") {
            connection.send("0\r\n\r\n").await.unwrap();
        }
        let response = connection.read_message(Kind::Response).await.unwrap();
        assert_eq!(response.status(), 400);
        envoy
            .check_after(measured(b"", response).failed("BadRequest"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn trailers_over_http1_change_no_number() {
    let upstream = Upstream::responding(|mut connection: Connection, _, before| async move {
        connection
            .send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        let trailers = if before % 2 == 0 { "x-response: done\r\n" } else { "" };
        connection.send(chunked(DOCUMENT.as_bytes(), 10, trailers)).await?;
        Ok(Some(connection))
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), trailers).await.unwrap();
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    for round in 0..4 {
        let after = if round < 2 { "x-request: done\r\n" } else { "" };
        connection.send(post("transfer-encoding: chunked\r\n")).await.unwrap();
        connection.send(chunked(PROMPT, 9, after)).await.unwrap();
        let response = connection.read_message(Kind::Response).await.unwrap();
        assert_eq!(response.trailers.len(), usize::from(round % 2 == 0));
        assert_eq!(
            upstream.requests().pop().unwrap().trailers.len(),
            usize::from(round < 2)
        );
        envoy
            .check_after(measured(PROMPT, response).tokens(3, 4))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn trailers_over_http2_change_no_number() {
    let server = Server::start(Goaway::Never, |request, mut respond, before| async move {
        let (_, trailers_sent) = read_body(request).await?;
        let mut stream = send_headers(&mut respond, 200, "application/json")?;
        stream.send_data(DOCUMENT.into(), before % 2 == 1)?;
        if before % 2 == 0 {
            let trailers = [(
                "x-response".parse()?,
                if trailers_sent.is_some() { "trailed" } else { "done" }.parse()?,
            )];
            stream.send_trailers(HeaderMap::from_iter(trailers))?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(server.addr(), |config| edits::model_server(config, HTTP2))
        .await
        .unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    for round in 0..4 {
        let mut sent = client.open("POST", COMPLETIONS, &[], false).await.unwrap();
        sent.body.send_data(Bytes::from_static(PROMPT), round > 1).unwrap();
        if round < 2 {
            let trailers = [("x-request".parse().unwrap(), "done".parse().unwrap())];
            sent.body.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
        }
        let incoming = sent.response().await.unwrap();
        let wanted = (round % 2 == 0).then_some(if round < 2 { "trailed" } else { "done" });
        let trailer = incoming
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.get("x-response"));
        assert_eq!(trailer.map(|value| value.to_str().unwrap()), wanted);
        let exchange = Measured::response(PROMPT, &incoming.response).tokens(3, 4);
        envoy.check_after(exchange).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_with_expect_100_continue_is_one_exchange() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    // Sent by Envoy, or by the server.
    for proxied in [false, true] {
        let mut envoy = CheckedEnvoy::start(sim.addr(), |config| {
            edits::connection_manager(config, &format!("proxy_100_continue: {proxied}"))
        })
        .await
        .unwrap();
        let mut connection = Connection::connect(envoy.listener()).await.unwrap();
        let head = post(&format!("expect: 100-continue\r\ncontent-length: {}\r\n", STREAM.len()));
        connection.send(head).await.unwrap();
        let interim = connection.read_message(Kind::Response).await.unwrap();
        assert_eq!(interim.status(), 100);
        connection.send(STREAM).await.unwrap();
        let response = connection.read_message(Kind::Response).await.unwrap();
        assert_eq!(response.status(), 200);
        envoy.check_after(measured(STREAM, response)).await.unwrap();
    }
}

#[tokio::test]
async fn early_hints_are_not_the_response() {
    let upstream = Upstream::responding(|mut connection: Connection, _, _| async move {
        connection
            .send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
            .await?;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        connection
            .send(format!("{head}: {}\r\n\r\n{DOCUMENT}", DOCUMENT.len()))
            .await?;
        Ok(Some(connection))
    })
    .await
    .unwrap();
    for proxied in [false, true] {
        let mut envoy = CheckedEnvoy::start(upstream.addr(), |config| {
            edits::connection_manager(config, &format!("proxy_100_continue: {proxied}"))
        })
        .await
        .unwrap();
        let mut connection = Connection::connect(envoy.listener()).await.unwrap();
        connection
            .send(post(&format!("content-length: {}\r\n", PROMPT.len())))
            .await
            .unwrap();
        connection.send(PROMPT).await.unwrap();
        let mut response = connection.read_message(Kind::Response).await.unwrap();
        while response.status() == 103 {
            response = connection.read_message(Kind::Response).await.unwrap();
        }
        assert_eq!(response.status(), 200);
        envoy
            .check_after(measured(PROMPT, response).tokens(3, 4))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn requests_that_are_not_measured_leave_no_series() {
    let (_sim, envoy) = simulated().await;
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    for (method, path) in [
        ("HEAD", COMPLETIONS),
        ("GET", COMPLETIONS),
        ("OPTIONS", COMPLETIONS),
        ("PUT", COMPLETIONS),
        ("DELETE", COMPLETIONS),
        ("PATCH", COMPLETIONS),
        ("GET", "/v1/models"),
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("POST", "/tokenize"),
        ("POST", "/detokenize"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/load_lora_adapter"),
        ("POST", "/v1/unload_lora_adapter"),
        ("POST", "/v1/completions/"),
        ("POST", "/v1/models?path=/v1/completions"),
        ("POST", "/"),
    ] {
        let length = PROMPT.len();
        connection
            .send(format!(
                "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await
            .unwrap();
        connection.send(PROMPT).await.unwrap();
        let kind = if method == "HEAD" {
            Kind::ResponseToHead
        } else {
            Kind::Response
        };
        let response = connection.read_message(kind).await.unwrap();
        assert!(response.complete, "{method} {path}: {}", response.line);
        envoy
            .check_no_series()
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }
}

#[tokio::test]
async fn a_websocket_passes_unchanged_and_leaves_no_series() {
    let upstream = Upstream::responding(|mut connection: Connection, _, _| async move {
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .await?;
        for word in ["one", "two", "three"] {
            connection.wait_for(format!("\u{0}{word}\u{1}")).await?;
            connection.send(format!("\u{2}{word} again\u{3}")).await?;
        }
        Ok(None)
    })
    .await
    .unwrap();
    let envoy = CheckedEnvoy::start(upstream.addr(), |config| {
        edits::connection_manager(config, "upgrade_configs: [{upgrade_type: websocket}]")
    })
    .await
    .unwrap();
    for path in ["/v1/realtime", "/v1/responses"] {
        let mut connection = Connection::connect(envoy.listener()).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        connection.send(head).await.unwrap();
        assert_eq!(connection.read_message(Kind::Response).await.unwrap().status(), 101);
        for word in ["one", "two", "three"] {
            connection.send(format!("\u{0}{word}\u{1}")).await.unwrap();
            connection.wait_for(format!("\u{2}{word} again\u{3}")).await.unwrap();
        }
        connection.wait_for_close().await.unwrap();
    }
    assert_eq!(upstream.requests().len(), 2);
    envoy.check_no_series().await.unwrap();
}
