//! HTTP/2 on either side of Envoy and on both: the same numbers, and streams that the client or the server resets count
//! like connections that break.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use bytes::Bytes;
use h2::Reason;
use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM, tiny_admitted};
use infertally_harness::edits::{self, HTTP2};
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::http2::{Client, Goaway, Server, given_up, head, whole};
use infertally_harness::tally::Exchange;
use infertally_harness::{Result, client};
use infertally_sim::{Sim, SimConfig};
use tokio::sync::mpsc;

const TEXT: &str = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n";
const SSE: &str = "text/event-stream";
const REASONS: [Reason; 6] = [
    Reason::CANCEL,
    Reason::NO_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::REFUSED_STREAM,
    Reason::PROTOCOL_ERROR,
    Reason::STREAM_CLOSED,
];

async fn sim() -> Sim {
    Sim::start(SimConfig::default()).await.unwrap()
}

/// HTTP/2 to the model server.
fn upstream(config: EnvoyConfig) -> Result<EnvoyConfig> {
    edits::model_server(tiny_admitted(config)?, HTTP2)
}

#[tokio::test]
async fn numbers_are_the_same_whatever_is_spoken_on_either_side() {
    let sim = sim().await;
    for change in [tiny_admitted, upstream] {
        let mut counted = Counted::start(sim.addr(), change).await.unwrap();
        let mut client = Client::connect(counted.listener()).await.unwrap();
        for (body, behaviour) in [(PROMPT, ""), (STREAM, ""), (STREAM, "chunk=3"), (STREAM, "chunk=all")] {
            let answer = counted.send(COMPLETIONS, behaviour, body).await.unwrap();
            counted.count(Exchange::told(body, &answer)).await.unwrap();
            let coming = client
                .post(COMPLETIONS, behaviour, body)
                .await
                .unwrap()
                .answer()
                .await
                .unwrap();
            assert!(coming.answer.whole);
            counted.count(Exchange::told(body, &coming.answer)).await.unwrap();
        }
        for (behaviour, code) in [
            ("status=404", "NotFound"),
            ("status=503;body=none", "ServiceUnavailable"),
        ] {
            let coming = client
                .post(COMPLETIONS, behaviour, PROMPT)
                .await
                .unwrap()
                .answer()
                .await
                .unwrap();
            let exchange = Exchange::answered(PROMPT, &coming.answer).failed(code);
            counted.count(exchange).await.unwrap();
        }
    }
}

#[tokio::test]
async fn streams_of_one_connection_are_exchanges_of_their_own() {
    let sim = sim().await;
    let mut counted = Counted::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    let mut sent = Vec::new();
    for n in 0..30 {
        let (body, behaviour) = [(PROMPT, ""), (STREAM, "gap=1ms"), (STREAM, "chunk=5")][n % 3];
        sent.push((body, client.post(COMPLETIONS, behaviour, body).await.unwrap()));
    }
    for (body, sent) in sent {
        let answer = sent.answer().await.unwrap().answer;
        counted.add(Exchange::told(body, &answer));
    }
    counted.hold().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_the_server_resets_is_an_upstream_reset_once_the_answer_has_begun() {
    let sim = sim().await;
    let mut counted = Counted::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    for (body, behaviour) in [
        (STREAM, "cut=event:2"),
        (STREAM, "cut=event:0"),
        (PROMPT, "cut=body:20"),
    ] {
        let coming = client
            .post(COMPLETIONS, behaviour, body)
            .await
            .unwrap()
            .answer()
            .await
            .unwrap();
        assert!(coming.answer.status == 200 && !coming.answer.whole, "{behaviour}");
        counted
            .count(Exchange::answered(body, &coming.answer).failed("UpstreamReset"))
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
    let coming = client
        .post(COMPLETIONS, "cut=headers", PROMPT)
        .await
        .unwrap()
        .answer()
        .await
        .unwrap();
    assert!((502..=503).contains(&coming.answer.status));
    let exchange = Exchange::answered(PROMPT, &coming.answer).failed("ServiceUnavailable");
    counted.count(exchange).await.unwrap();
}

#[tokio::test]
async fn every_reason_of_a_servers_reset_is_an_upstream_reset() {
    let server = Server::start(Goaway::Never, |request, mut respond, before| async move {
        whole(request).await?;
        let mut stream = head(&mut respond, 200, SSE)?;
        stream.send_data(TEXT.into(), false)?;
        // Sent in time, or it is lost with the reset.
        std::future::poll_fn(|cx| {
            stream.reserve_capacity(1);
            stream.poll_capacity(cx)
        })
        .await;
        tokio::task::yield_now().await;
        stream.send_reset(REASONS[before]);
        Ok(())
    })
    .await
    .unwrap();
    let mut counted = Counted::start(server.addr(), upstream).await.unwrap();
    for reason in REASONS {
        let answer = counted.send(COMPLETIONS, "", STREAM).await.unwrap();
        assert!(!answer.whole, "{reason}");
        counted
            .count(Exchange::answered(STREAM, &answer).failed("UpstreamReset"))
            .await
            .unwrap_or_else(|error| panic!("{reason}: {error}"));
    }
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_no_error_whatever_its_reason() {
    let sim = sim().await;
    let mut counted = Counted::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    for reason in REASONS {
        // Before the answer,
        let mut sent = client.post(COMPLETIONS, "hang=headers", STREAM).await.unwrap();
        counted.running(1).await.unwrap();
        sent.body.send_reset(reason);
        counted
            .count(Exchange::left(STREAM.len(), 0))
            .await
            .unwrap_or_else(|error| panic!("{reason} before the answer: {error}"));
        // in the middle of it,
        let sent = client.post(COMPLETIONS, "hang=event:5", STREAM).await.unwrap();
        let (mut coming, mut body) = sent.headers().await.unwrap();
        // The event of the usage, which is the only one that tells this.
        coming.see("\"system_fingerprint\"").await.unwrap();
        coming.see("51a0c0de\"}\n\n").await.unwrap();
        body.send_reset(reason);
        let exchange = Exchange::left(STREAM.len(), coming.answer.body.len()).tokens(3, 4);
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{reason} in the answer: {error}"));
    }
}

#[tokio::test]
async fn a_client_whose_connection_ends_leaves_all_its_streams() {
    let sim = sim().await;
    let mut counted = Counted::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(client.post(COMPLETIONS, "hang=headers", STREAM).await.unwrap());
        counted.add(Exchange::left(STREAM.len(), 0));
    }
    counted.running(5).await.unwrap();
    drop(client);
    counted.hold().await.unwrap();
}

#[tokio::test]
async fn a_client_that_resets_inside_its_request_is_no_error() {
    let (came, mut coming) = mpsc::unbounded_channel();
    let server = Server::start(Goaway::Never, move |request, mut respond, _| {
        let came = came.clone();
        async move {
            let first = request.into_body().data().await;
            came.send(first.is_some())?;
            let mut stream = head(&mut respond, 200, SSE)?;
            given_up(&mut stream).await;
            Ok(())
        }
    })
    .await
    .unwrap();
    let mut counted = Counted::start(server.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    let part = &STREAM[..30];
    for reason in REASONS {
        let mut sent = client.open("POST", COMPLETIONS, &[], false).await.unwrap();
        sent.body.send_data(Bytes::from_static(part), false).unwrap();
        assert_eq!(coming.recv().await, Some(true));
        sent.body.send_reset(reason);
        counted
            .count(Exchange::left(part.len(), 0))
            .await
            .unwrap_or_else(|error| panic!("{reason}: {error}"));
    }
}

#[tokio::test]
async fn a_client_that_resets_after_the_end_marker_has_had_an_answer() {
    let server = Server::start(Goaway::Never, |request, mut respond, _| async move {
        whole(request).await?;
        let mut stream = head(&mut respond, 200, SSE)?;
        stream.send_data([TEXT, END].concat().into(), false)?;
        given_up(&mut stream).await;
        Ok(())
    })
    .await
    .unwrap();
    let mut counted = Counted::start(server.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    let sent = client.post(COMPLETIONS, "", STREAM).await.unwrap();
    let (mut coming, mut body) = sent.headers().await.unwrap();
    coming.see("[DONE]\n\n").await.unwrap();
    body.send_reset(Reason::CANCEL);
    let exchange = Exchange::answered(STREAM, &coming.answer).tokens(3, 4);
    counted.count(exchange).await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_away_ends_what_it_has_and_an_abrupt_one_breaks_it() {
    let script = |request, mut respond, end: bool| async move {
        whole(request).await?;
        let mut stream = head(&mut respond, 200, SSE)?;
        stream.send_data(TEXT.into(), false)?;
        tokio::task::yield_now().await;
        if end {
            stream.send_data(END.into(), true)?;
        }
        Ok(())
    };
    let graceful = Server::start(Goaway::Graceful, move |request, respond, _| {
        script(request, respond, true)
    });
    let graceful = graceful.await.unwrap();
    let mut counted = Counted::start(graceful.addr(), upstream).await.unwrap();
    for _ in 0..3 {
        let answer = counted.send(COMPLETIONS, "", STREAM).await.unwrap();
        assert!(answer.whole);
        counted
            .count(Exchange::answered(STREAM, &answer).tokens(3, 4))
            .await
            .unwrap();
    }
    let abrupt = Server::start(Goaway::Abrupt, move |request, respond, _| {
        script(request, respond, false)
    });
    let abrupt = abrupt.await.unwrap();
    let mut counted = Counted::start(abrupt.addr(), upstream).await.unwrap();
    for _ in 0..3 {
        let answer = counted.send(COMPLETIONS, "", STREAM).await.unwrap();
        assert!(!answer.whole);
        counted
            .count(Exchange::answered(STREAM, &answer).failed("UpstreamReset"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn other_methods_and_paths_leave_nothing_over_http2_either() {
    let sim = sim().await;
    let counted = Counted::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(counted.listener()).await.unwrap();
    for (method, path) in [
        ("GET", "/v1/models"),
        ("GET", COMPLETIONS),
        ("HEAD", COMPLETIONS),
        ("POST", "/tokenize"),
    ] {
        let sent = client.open(method, path, &[], true).await.unwrap();
        sent.answer().await.unwrap();
    }
    let get = client::request("GET", "/health", &[], b"");
    client::exchange(counted.listener(), &get, usize::MAX).await.unwrap();
    counted.nothing().await.unwrap();
}
