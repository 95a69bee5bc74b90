//! Clients that go away while they are answered, at any moment: one record each, with what passed until then, no error
//! for a client that left, and nothing running afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use infertally_harness::client;
use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM, tiny_admitted};
use infertally_harness::message::Kind;
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::{Leaving, Wire};
use infertally_sim::{Sim, SimConfig};

async fn simulated() -> (Sim, Counted) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let counted = Counted::start(sim.addr(), tiny_admitted).await.unwrap();
    (sim, counted)
}

fn request(x_sim: &str, body: &[u8]) -> Vec<u8> {
    client::request("POST", COMPLETIONS, &[("x-sim", x_sim)], body)
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_no_error() {
    let (_sim, mut counted) = simulated().await;
    for leaving in Leaving::BOTH {
        for body in [PROMPT, STREAM] {
            let mut wire = Wire::connect(counted.listener()).await.unwrap();
            wire.send(request("hang=headers", body)).await.unwrap();
            counted.running(1).await.unwrap();
            wire.leave(leaving);
            counted
                .count(Exchange::left(body.len(), 0))
                .await
                .unwrap_or_else(|error| panic!("{leaving:?}: {error}"));
        }
    }
}

const TEXT: &str = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"died\"}}\n\n";
const DOCUMENT: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

/// What a client's leaving is known to mean.
type Known = fn(Exchange) -> Exchange;

/// The server says this much of a chunked body and then nothing; the client leaves when it has it.
async fn left_after(content_type: &'static str, bodies: Vec<(String, Known)>) {
    let says: Vec<_> = bodies.iter().map(|(body, _)| body.clone()).collect();
    let upstream = Upstream::answering(move |mut wire: Wire, _, before| {
        let body = says[before / Leaving::BOTH.len()].clone();
        async move {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
            wire.send(head).await?;
            if !body.is_empty() {
                wire.send(format!("{:x}\r\n{body}\r\n", body.len())).await?;
            }
            wire.closed().await.map(|_| None)
        }
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), tiny_admitted).await.unwrap();
    for (body, known) in bodies {
        for leaving in Leaving::BOTH {
            let mut wire = Wire::connect(counted.listener()).await.unwrap();
            wire.send(request("", STREAM)).await.unwrap();
            wire.see("\r\n\r\n").await.unwrap();
            wire.see(&body).await.unwrap();
            counted.running(1).await.unwrap();
            wire.leave(leaving);
            counted
                .count(known(Exchange::left(STREAM.len(), body.len())))
                .await
                .unwrap_or_else(|error| panic!("{leaving:?} after {body:?}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_is_no_error_and_what_was_reported_counts() {
    left_after(
        "text/event-stream",
        vec![
            (String::new(), |left| left),
            (TEXT.into(), |left| left),
            (TEXT[..40].into(), |left| left),
            ([TEXT, FINISH].concat(), |left| left),
            ([TEXT, FINISH, USAGE].concat(), |left| left.tokens(3, 4)),
            ([TEXT, FINISH, USAGE, &DONE[..10]].concat(), |left| left.tokens(3, 4)),
            // It has all that there is: clients often leave here.
            ([TEXT, FINISH, USAGE, DONE].concat(), |left| Exchange {
                left: false,
                ..left.tokens(3, 4)
            }),
            // The server has failed before.
            ([TEXT, ERROR].concat(), |left| left.failed("StreamError")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_inside_a_document_is_no_error() {
    left_after(
        "application/json",
        vec![
            (String::new(), |left| left),
            (DOCUMENT[..DOCUMENT.len() - 1].into(), |left| left),
            (DOCUMENT.into(), |left| left.tokens(3, 4)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_an_error_answer_has_the_errors_code() {
    let upstream = Upstream::answering(|mut wire: Wire, _, _| async move {
        wire.send("HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\nno").await?;
        wire.closed().await.map(|_| None)
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), tiny_admitted).await.unwrap();
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    wire.send(request("", PROMPT)).await.unwrap();
    wire.see("\r\n\r\nno").await.unwrap();
    drop(wire);
    counted
        .count(Exchange::left(PROMPT.len(), 2).failed("ModelServerError"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_after_the_last_byte_has_had_an_answer() {
    let (_sim, mut counted) = simulated().await;
    for leaving in Leaving::BOTH {
        for body in [PROMPT, STREAM] {
            let mut wire = Wire::connect(counted.listener()).await.unwrap();
            let open = String::from_utf8(request("", body))
                .unwrap()
                .replace("connection: close\r\n", "");
            wire.send(open).await.unwrap();
            let answer = wire.message(Kind::Answer).await.unwrap().into();
            wire.leave(leaving);
            counted.count(Exchange::told(body, &answer)).await.unwrap();
        }
    }
}
