//! HTTP/2 downstream, upstream and both: the numbers are the same, and streams that are reset count like connections that
//! are.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use bytes::Bytes;
use h2::Reason;
use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, STREAM, tiny_admitted};
use infertally_harness::edits::{self, HTTP2};
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::http2::{Client, Goaway, Server, read_body, send_headers, wait_for_reset};
use infertally_harness::{Result, client};
use infertally_oracle::{Measured, Outcome};
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

/// Speaks HTTP/2 to the model server.
fn upstream(config: EnvoyConfig) -> Result<EnvoyConfig> {
    edits::model_server(tiny_admitted(config)?, HTTP2)
}

#[tokio::test]
async fn numbers_are_the_same_for_every_http_version_on_either_side() {
    let sim = sim().await;
    for change in [tiny_admitted, upstream] {
        let mut envoy = CheckedEnvoy::start(sim.addr(), change).await.unwrap();
        let mut client = Client::connect(envoy.listener()).await.unwrap();
        for (body, behaviour) in [(PROMPT, ""), (STREAM, ""), (STREAM, "chunk=3"), (STREAM, "chunk=all")] {
            let response = envoy.send(COMPLETIONS, behaviour, body).await.unwrap();
            envoy.check_after(Measured::simulated(body, &response)).await.unwrap();
            let incoming = client
                .post(COMPLETIONS, behaviour, body)
                .await
                .unwrap()
                .response()
                .await
                .unwrap();
            assert!(incoming.response.complete);
            envoy
                .check_after(Measured::simulated(body, &incoming.response))
                .await
                .unwrap();
        }
        for (behaviour, code) in [
            ("status=404", "NotFound"),
            ("status=503;body=none", "ServiceUnavailable"),
        ] {
            let incoming = client
                .post(COMPLETIONS, behaviour, PROMPT)
                .await
                .unwrap()
                .response()
                .await
                .unwrap();
            let exchange = Measured::response(PROMPT, &incoming.response).failed(code);
            envoy.check_after(exchange).await.unwrap();
        }
    }
}

#[tokio::test]
async fn streams_of_one_connection_are_separate_exchanges() {
    let sim = sim().await;
    let mut envoy = CheckedEnvoy::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    let mut sent = Vec::new();
    for n in 0..30 {
        let (body, behaviour) = [(PROMPT, ""), (STREAM, "gap=1ms"), (STREAM, "chunk=5")][n % 3];
        sent.push((body, client.post(COMPLETIONS, behaviour, body).await.unwrap()));
    }
    for (body, sent) in sent {
        let response = sent.response().await.unwrap().response;
        envoy.add(Measured::simulated(body, &response));
    }
    envoy.check().await.unwrap();
}

#[tokio::test]
async fn a_server_reset_is_an_upstream_reset_once_the_response_has_begun() {
    let sim = sim().await;
    let mut envoy = CheckedEnvoy::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    for (body, behaviour) in [
        (STREAM, "cut=event:2"),
        (STREAM, "cut=event:0"),
        (PROMPT, "cut=body:20"),
    ] {
        let incoming = client
            .post(COMPLETIONS, behaviour, body)
            .await
            .unwrap()
            .response()
            .await
            .unwrap();
        assert!(
            incoming.response.status == 200 && !incoming.response.complete,
            "{behaviour}"
        );
        envoy
            .check_after(Measured::response(body, &incoming.response).failed("UpstreamReset"))
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
    let incoming = client
        .post(COMPLETIONS, "cut=headers", PROMPT)
        .await
        .unwrap()
        .response()
        .await
        .unwrap();
    assert!((502..=503).contains(&incoming.response.status));
    let exchange = Measured::response(PROMPT, &incoming.response).failed("ServiceUnavailable");
    envoy.check_after(exchange).await.unwrap();
}

#[tokio::test]
async fn a_server_reset_is_an_upstream_reset_for_every_reason() {
    let server = Server::start(Goaway::Never, |request, mut respond, before| async move {
        read_body(request).await?;
        let mut stream = send_headers(&mut respond, 200, SSE)?;
        stream.send_data(TEXT.into(), false)?;
        // A reset drops data that is not sent yet.
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
    let mut envoy = CheckedEnvoy::start(server.addr(), upstream).await.unwrap();
    for reason in REASONS {
        let response = envoy.send(COMPLETIONS, "", STREAM).await.unwrap();
        assert!(!response.complete, "{reason}");
        envoy
            .check_after(Measured::response(STREAM, &response).failed("UpstreamReset"))
            .await
            .unwrap_or_else(|error| panic!("{reason}: {error}"));
    }
}

#[tokio::test]
async fn a_client_reset_is_no_error_for_every_reason() {
    let sim = sim().await;
    let mut envoy = CheckedEnvoy::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    for reason in REASONS {
        // Before the response,
        let mut sent = client.post(COMPLETIONS, "hang=headers", STREAM).await.unwrap();
        envoy.wait_for_running(1).await.unwrap();
        sent.body.send_reset(reason);
        envoy
            .check_after(Measured::cancelled(STREAM.len(), 0))
            .await
            .unwrap_or_else(|error| panic!("{reason} before the response: {error}"));
        // in the middle of it,
        let sent = client.post(COMPLETIONS, "hang=event:1", STREAM).await.unwrap();
        let (mut incoming, mut body) = sent.headers().await.unwrap();
        incoming.wait_for("\n\n").await.unwrap();
        body.send_reset(reason);
        envoy
            .check_after(Measured::cancelled(STREAM.len(), incoming.response.body.len()))
            .await
            .unwrap_or_else(|error| panic!("{reason} in the response: {error}"));
        // and once it has everything but the end marker, which is a success.
        let sent = client.post(COMPLETIONS, "hang=event:5", STREAM).await.unwrap();
        let (mut incoming, mut body) = sent.headers().await.unwrap();
        // Only the event with the usage has this.
        incoming.wait_for("\"system_fingerprint\"").await.unwrap();
        incoming.wait_for("51a0c0de\"}\n\n").await.unwrap();
        body.send_reset(reason);
        let exchange = Measured {
            outcome: Outcome::Success,
            ..Measured::cancelled(STREAM.len(), incoming.response.body.len()).tokens(3, 4)
        };
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{reason} after the response: {error}"));
    }
}

#[tokio::test]
async fn a_client_disconnect_cancels_all_its_streams() {
    let sim = sim().await;
    let mut envoy = CheckedEnvoy::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(client.post(COMPLETIONS, "hang=headers", STREAM).await.unwrap());
        envoy.add(Measured::cancelled(STREAM.len(), 0));
    }
    envoy.wait_for_running(5).await.unwrap();
    drop(client);
    envoy.check().await.unwrap();
}

#[tokio::test]
async fn a_client_reset_in_the_request_is_no_error() {
    let (received, mut receiving) = mpsc::unbounded_channel();
    let server = Server::start(Goaway::Never, move |request, mut respond, _| {
        let received = received.clone();
        async move {
            let first = request.into_body().data().await;
            received.send(first.is_some())?;
            let mut stream = send_headers(&mut respond, 200, SSE)?;
            wait_for_reset(&mut stream).await;
            Ok(())
        }
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(server.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    let part = &STREAM[..30];
    for reason in REASONS {
        let mut sent = client.open("POST", COMPLETIONS, &[], false).await.unwrap();
        sent.body.send_data(Bytes::from_static(part), false).unwrap();
        assert_eq!(receiving.recv().await, Some(true));
        sent.body.send_reset(reason);
        envoy
            .check_after(Measured::cancelled(part.len(), 0))
            .await
            .unwrap_or_else(|error| panic!("{reason}: {error}"));
    }
}

#[tokio::test]
async fn a_client_reset_after_the_end_marker_is_a_success() {
    let server = Server::start(Goaway::Never, |request, mut respond, _| async move {
        read_body(request).await?;
        let mut stream = send_headers(&mut respond, 200, SSE)?;
        stream.send_data([TEXT, END].concat().into(), false)?;
        wait_for_reset(&mut stream).await;
        Ok(())
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(server.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    let sent = client.post(COMPLETIONS, "", STREAM).await.unwrap();
    let (mut incoming, mut body) = sent.headers().await.unwrap();
    incoming.wait_for("[DONE]\n\n").await.unwrap();
    body.send_reset(Reason::CANCEL);
    let exchange = Measured::response(STREAM, &incoming.response).tokens(3, 4);
    envoy.check_after(exchange).await.unwrap();
}

#[tokio::test]
async fn a_goaway_completes_open_streams_and_an_abrupt_shutdown_resets_them() {
    let script = |request, mut respond, end: bool| async move {
        read_body(request).await?;
        let mut stream = send_headers(&mut respond, 200, SSE)?;
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
    let mut envoy = CheckedEnvoy::start(graceful.addr(), upstream).await.unwrap();
    for _ in 0..3 {
        let response = envoy.send(COMPLETIONS, "", STREAM).await.unwrap();
        assert!(response.complete);
        envoy
            .check_after(Measured::response(STREAM, &response).tokens(3, 4))
            .await
            .unwrap();
    }
    let abrupt = Server::start(Goaway::Abrupt, move |request, respond, _| {
        script(request, respond, false)
    });
    let abrupt = abrupt.await.unwrap();
    let mut envoy = CheckedEnvoy::start(abrupt.addr(), upstream).await.unwrap();
    for _ in 0..3 {
        let response = envoy.send(COMPLETIONS, "", STREAM).await.unwrap();
        assert!(!response.complete);
        envoy
            .check_after(Measured::response(STREAM, &response).failed("UpstreamReset"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn requests_that_are_not_measured_leave_no_series_over_http2() {
    let sim = sim().await;
    let envoy = CheckedEnvoy::start(sim.addr(), upstream).await.unwrap();
    let mut client = Client::connect(envoy.listener()).await.unwrap();
    for (method, path) in [
        ("GET", "/v1/models"),
        ("GET", COMPLETIONS),
        ("HEAD", COMPLETIONS),
        ("POST", "/tokenize"),
    ] {
        let sent = client.open(method, path, &[], true).await.unwrap();
        sent.response().await.unwrap();
    }
    let get = client::request("GET", "/health", &[], b"");
    client::exchange(envoy.listener(), &get, usize::MAX).await.unwrap();
    envoy.check_no_series().await.unwrap();
}
