//! Forms of HTTP around a request and its answer: none changes a number, and what is no inference leaves none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use bytes::Bytes;
use http::HeaderMap;
use infertally_harness::Result;
use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM};
use infertally_harness::edits::{self, HTTP2};
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::http2::{Client, Goaway, Server, head, whole};
use infertally_harness::message::{Kind, Message};
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::Wire;
use infertally_sim::{Sim, SimConfig};

const DOCUMENT: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

async fn simulated() -> (Sim, Counted) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let counted = Counted::start(sim.addr(), Ok).await.unwrap();
    (sim, counted)
}

/// Trailers pass HTTP/1.1, too, where Envoy is told so.
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

/// A request line and headers of a completion, over a connection that stays.
fn post(headers: &str) -> String {
    format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{headers}\r\n")
}

fn answered(body: &[u8], answer: Message) -> Exchange {
    Exchange::told(body, &answer.into())
}

#[tokio::test]
async fn requests_in_chunks_of_any_size_are_as_large_as_their_bodies() {
    let (_sim, mut counted) = simulated().await;
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    for size in [1, 7, 1000] {
        for body in [PROMPT, STREAM] {
            wire.send(post("transfer-encoding: chunked\r\n")).await.unwrap();
            wire.send(chunked(body, size, "")).await.unwrap();
            let answer = wire.message(Kind::Answer).await.unwrap();
            assert_eq!(answer.status(), 200);
            counted.count(answered(body, answer)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn requests_in_one_write_on_one_connection_are_exchanges_of_their_own() {
    let (_sim, mut counted) = simulated().await;
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    let bodies = [PROMPT, STREAM, b"{}", STREAM, PROMPT];
    let mut all = Vec::new();
    for body in bodies {
        all.extend_from_slice(post(&format!("content-length: {}\r\n", body.len())).as_bytes());
        all.extend_from_slice(body);
    }
    wire.send(all).await.unwrap();
    for body in bodies {
        let answer = wire.message(Kind::Answer).await.unwrap();
        let failed = answer.status() == 400;
        assert_eq!(failed, body == b"{}");
        let exchange = answered(body, answer);
        counted.add(if failed {
            exchange.failed("BadRequest")
        } else {
            exchange
        });
    }
    counted.hold().await.unwrap();
}

#[tokio::test]
async fn a_post_without_a_body_is_a_request_of_no_bytes() {
    let (_sim, mut counted) = simulated().await;
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    for headers in ["content-length: 0\r\n", "", "transfer-encoding: chunked\r\n"] {
        wire.send(post(headers)).await.unwrap();
        if headers.contains("chunked") {
            wire.send("0\r\n\r\n").await.unwrap();
        }
        let answer = wire.message(Kind::Answer).await.unwrap();
        assert_eq!(answer.status(), 400);
        counted.count(answered(b"", answer).failed("BadRequest")).await.unwrap();
    }
}

#[tokio::test]
async fn trailers_after_a_request_or_an_answer_change_no_number() {
    let upstream = Upstream::answering(|mut wire: Wire, _, before| async move {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        let trailers = if before % 2 == 0 { "x-answer: done\r\n" } else { "" };
        wire.send(chunked(DOCUMENT.as_bytes(), 10, trailers)).await?;
        Ok(Some(wire))
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), trailers).await.unwrap();
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    for round in 0..4 {
        let after = if round < 2 { "x-request: done\r\n" } else { "" };
        wire.send(post("transfer-encoding: chunked\r\n")).await.unwrap();
        wire.send(chunked(PROMPT, 9, after)).await.unwrap();
        let answer = wire.message(Kind::Answer).await.unwrap();
        assert_eq!(answer.trailers.len(), usize::from(round % 2 == 0));
        assert_eq!(
            upstream.requests().pop().unwrap().trailers.len(),
            usize::from(round < 2)
        );
        counted.count(answered(PROMPT, answer).tokens(3, 4)).await.unwrap();
    }
}

#[tokio::test]
async fn trailers_over_http2_change_no_number() {
    let server = Server::start(Goaway::Never, |request, mut respond, before| async move {
        let (_, asked) = whole(request).await?;
        let mut stream = head(&mut respond, 200, "application/json")?;
        stream.send_data(DOCUMENT.into(), before % 2 == 1)?;
        if before % 2 == 0 {
            let trailers = [(
                "x-answer".parse()?,
                if asked.is_some() { "trailed" } else { "done" }.parse()?,
            )];
            stream.send_trailers(HeaderMap::from_iter(trailers))?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let mut counted = Counted::start(server.addr(), |config| edits::model_server(config, HTTP2))
        .await
        .unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    for round in 0..4 {
        let mut sent = client.open("POST", COMPLETIONS, &[], false).await.unwrap();
        sent.body.send_data(Bytes::from_static(PROMPT), round > 1).unwrap();
        if round < 2 {
            let trailers = [("x-request".parse().unwrap(), "done".parse().unwrap())];
            sent.body.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
        }
        let coming = sent.answer().await.unwrap();
        let wanted = (round % 2 == 0).then_some(if round < 2 { "trailed" } else { "done" });
        let trailer = coming.trailers.as_ref().and_then(|trailers| trailers.get("x-answer"));
        assert_eq!(trailer.map(|value| value.to_str().unwrap()), wanted);
        let exchange = Exchange::answered(PROMPT, &coming.answer).tokens(3, 4);
        counted.count(exchange).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_waits_to_continue_has_one_exchange() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    // Envoy says it by itself, or lets the server say it.
    for proxied in [false, true] {
        let mut counted = Counted::start(sim.addr(), |config| {
            edits::connection_manager(config, &format!("proxy_100_continue: {proxied}"))
        })
        .await
        .unwrap();
        let mut wire = Wire::connect(counted.listener()).await.unwrap();
        let head = post(&format!("expect: 100-continue\r\ncontent-length: {}\r\n", STREAM.len()));
        wire.send(head).await.unwrap();
        let go_on = wire.message(Kind::Answer).await.unwrap();
        assert_eq!(go_on.status(), 100);
        wire.send(STREAM).await.unwrap();
        let answer = wire.message(Kind::Answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        counted.count(answered(STREAM, answer)).await.unwrap();
    }
}

#[tokio::test]
async fn early_hints_are_not_the_answer() {
    let upstream = Upstream::answering(|mut wire: Wire, _, _| async move {
        wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await?;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        wire.send(format!("{head}: {}\r\n\r\n{DOCUMENT}", DOCUMENT.len()))
            .await?;
        Ok(Some(wire))
    })
    .await
    .unwrap();
    for proxied in [false, true] {
        let mut counted = Counted::start(upstream.addr(), |config| {
            edits::connection_manager(config, &format!("proxy_100_continue: {proxied}"))
        })
        .await
        .unwrap();
        let mut wire = Wire::connect(counted.listener()).await.unwrap();
        wire.send(post(&format!("content-length: {}\r\n", PROMPT.len())))
            .await
            .unwrap();
        wire.send(PROMPT).await.unwrap();
        let mut answer = wire.message(Kind::Answer).await.unwrap();
        while answer.status() == 103 {
            answer = wire.message(Kind::Answer).await.unwrap();
        }
        assert_eq!(answer.status(), 200);
        counted.count(answered(PROMPT, answer).tokens(3, 4)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_inference_request_leaves_no_series() {
    let (_sim, counted) = simulated().await;
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
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
        wire.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await
        .unwrap();
        wire.send(PROMPT).await.unwrap();
        let kind = if method == "HEAD" {
            Kind::AnswerToHead
        } else {
            Kind::Answer
        };
        let answer = wire.message(kind).await.unwrap();
        assert!(answer.whole, "{method} {path}: {}", answer.line);
        counted
            .nothing()
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }
}

#[tokio::test]
async fn a_websocket_passes_untouched_and_leaves_no_series() {
    let upstream = Upstream::answering(|mut wire: Wire, _, _| async move {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .await?;
        for word in ["one", "two", "three"] {
            wire.see(format!("\u{0}{word}\u{1}")).await?;
            wire.send(format!("\u{2}{word} again\u{3}")).await?;
        }
        Ok(None)
    })
    .await
    .unwrap();
    let counted = Counted::start(upstream.addr(), |config| {
        edits::connection_manager(config, "upgrade_configs: [{upgrade_type: websocket}]")
    })
    .await
    .unwrap();
    for path in ["/v1/realtime", "/v1/responses"] {
        let mut wire = Wire::connect(counted.listener()).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        wire.send(head).await.unwrap();
        assert_eq!(wire.message(Kind::Answer).await.unwrap().status(), 101);
        for word in ["one", "two", "three"] {
            wire.send(format!("\u{0}{word}\u{1}")).await.unwrap();
            wire.see(format!("\u{2}{word} again\u{3}")).await.unwrap();
        }
        wire.closed().await.unwrap();
    }
    assert_eq!(upstream.requests().len(), 2);
    counted.nothing().await.unwrap();
}
