//! Requests that do not come to their end: the client goes away in the body, stalls, breaks the protocol, or is answered
//! before it has said all. One record each with what passed until then, and nothing running afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, tiny_admitted};
use infertally_harness::message::Kind;
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::{Leaving, Wire};
use infertally_sim::{Sim, SimConfig};
use tokio::sync::mpsc;

const LENGTH: &str = "content-length: 1000";
const CHUNKED: &str = "transfer-encoding: chunked";
/// As much of a body as comes.
const PART: &str = r#"{"model":"tiny","prompt":"half of"#;

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A server that says when the part of the body has come, answers with these bytes, and waits for the connection's end.
async fn waiting(answer: &'static str) -> (Upstream, mpsc::UnboundedReceiver<()>) {
    let (came, coming) = mpsc::unbounded_channel();
    let upstream = Upstream::start(move |mut wire| {
        let came = came.clone();
        async move {
            wire.see("half of").await?;
            wire.send(answer).await?;
            came.send(())?;
            wire.closed().await.map(drop)
        }
    })
    .await
    .unwrap();
    (upstream, coming)
}

/// A connection that has sent a request as far as it comes.
async fn half_sent(counted: &Counted, headers: &str, body: &str) -> Wire {
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    let head = format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: test\r\n{headers}\r\n\r\n");
    wire.send(format!("{head}{body}")).await.unwrap();
    wire
}

#[tokio::test]
async fn a_client_that_leaves_inside_its_request_is_no_error() {
    let (upstream, mut coming) = waiting("").await;
    let mut counted = Counted::start(upstream.addr(), tiny_admitted).await.unwrap();
    for leaving in Leaving::BOTH {
        for (headers, body) in [(LENGTH, PART.to_owned()), (CHUNKED, chunk(PART))] {
            let wire = half_sent(&counted, headers, &body).await;
            coming.recv().await.unwrap();
            wire.leave(leaving);
            counted
                .count(Exchange::left(PART.len(), 0))
                .await
                .unwrap_or_else(|error| panic!("{leaving:?} in {headers}: {error}"));
        }
    }
}

#[tokio::test]
async fn half_a_head_is_no_request() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let mut counted = Counted::start(sim.addr(), tiny_admitted).await.unwrap();
    for leaving in Leaving::BOTH {
        let mut wire = Wire::connect(counted.listener()).await.unwrap();
        wire.send(format!("POST {COMPLETIONS} HTTP/1.1\r\nhost: te"))
            .await
            .unwrap();
        wire.leave(leaving);
        let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
        counted.count(Exchange::told(PROMPT, &answer)).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_stalls_is_a_timeout() {
    let (upstream, _coming) = waiting("").await;
    let mut counted = Counted::start(upstream.addr(), |config| {
        tiny_admitted(config)?.replace("idle_timeout: 300s", "idle_timeout: 0.2s")
    })
    .await
    .unwrap();
    let mut wire = half_sent(&counted, LENGTH, PART).await;
    let answer = wire.message(Kind::Answer).await.unwrap();
    assert_eq!(answer.status(), 408);
    let exchange = Exchange::left(PART.len(), answer.body.len()).failed("Timeout");
    counted.count(exchange).await.unwrap();
}

#[tokio::test]
async fn an_answer_before_the_request_is_whole_is_the_answer() {
    for (early, status, code) in [
        (
            "HTTP/1.1 413 Early\r\ncontent-length: 5\r\n\r\nearly",
            413,
            Some("BadRequest"),
        ),
        ("HTTP/1.1 200 Early\r\ncontent-length: 5\r\n\r\nearly", 200, None),
    ] {
        let (upstream, _coming) = waiting(early).await;
        let mut counted = Counted::start(upstream.addr(), tiny_admitted).await.unwrap();
        let mut wire = half_sent(&counted, LENGTH, PART).await;
        let answer = wire.message(Kind::Answer).await.unwrap();
        assert_eq!((answer.status(), answer.whole), (status, true));
        let exchange = Exchange {
            error: code,
            ..Exchange::left(PART.len(), 5)
        };
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{status}: {error}"));
    }
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_answered_and_counted_so() {
    let (upstream, mut coming) = waiting("").await;
    let mut counted = Counted::start(upstream.addr(), tiny_admitted).await.unwrap();
    let mut wire = half_sent(&counted, CHUNKED, &chunk(PART)).await;
    coming.recv().await.unwrap();
    wire.send("this is no chunk\r\n").await.unwrap();
    let answer = wire.message(Kind::Answer).await.unwrap();
    assert_eq!(answer.status(), 400);
    let exchange = Exchange::left(PART.len(), answer.body.len()).failed("BadRequest");
    counted.count(exchange).await.unwrap();
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_while_it_is_answered_is_not_the_servers_error() {
    let begun =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n7\r\ndata: a\r\n";
    let (upstream, _coming) = waiting(begun).await;
    let mut counted = Counted::start(upstream.addr(), tiny_admitted).await.unwrap();
    let mut wire = half_sent(&counted, CHUNKED, &chunk(PART)).await;
    wire.see("data: a").await.unwrap();
    wire.send("this is no chunk\r\n").await.unwrap();
    wire.closed().await.unwrap();
    counted.count(Exchange::left(PART.len(), 7)).await.unwrap();
}
