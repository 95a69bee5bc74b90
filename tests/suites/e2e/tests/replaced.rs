//! A response that a filter in front of ours replaces after its last byte has passed ours, as a guardrail does: what the
//! client got decides if that filter called a service. A filter that decides at once can't be distinguished from none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use bytes::Bytes;
use infertally_harness::CheckedEnvoy;
use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT, STREAM};
use infertally_harness::edits;
use infertally_harness::stats::Stats;
use infertally_oracle::Measured;
use infertally_oracle::totals::requests;
use infertally_sim::{Sim, SimConfig};
use tokio::net::TcpListener;

/// A Lua filter in front of ours that reads the whole response, does this, and replaces its status.
async fn guarded(then: &str) -> (Sim, CheckedEnvoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let lua = format!(
        r#"name: envoy.filters.http.lua, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {{inline_string: "function envoy_on_response(handle) handle:body() {then} handle:headers():replace(':status', '403') end"}}}}"#
    );
    let envoy = CheckedEnvoy::start(sim.addr(), |config| edits::filter_before(config, &lua))
        .await
        .unwrap();
    (sim, envoy)
}

const CALL: &str =
    "handle:httpCall('model_server', {[':method'] = 'GET', [':path'] = '/health', [':authority'] = 'guard'}, '', 5000)";

#[tokio::test]
async fn response_that_a_service_rejected_is_an_error_with_the_status_that_the_client_got() {
    let (_sim, mut envoy) = guarded(CALL).await;
    for body in [PROMPT, STREAM] {
        let response = envoy.send(COMPLETIONS, "", body).await.unwrap();
        assert_eq!(response.status, 403);
        envoy
            .check_after(Measured::simulated(body, &response).failed("Forbidden"))
            .await
            .unwrap();
    }
}

/// A gRPC service for Envoy's ext_proc that passes the head of a response and rejects its body with a 403. Returns its
/// port.
async fn rejecting_service() -> u16 {
    // ProcessingResponse { response_headers {} }.
    const PASS: &[u8] = &[0, 0, 0, 0, 2, 0x12, 0];
    // ProcessingResponse { immediate_response { status { code: 403 }, body: "no" } }, framed as gRPC does.
    const REJECT: &[u8] = &[0, 0, 0, 0, 11, 0x3a, 9, 0x0a, 3, 0x08, 0x93, 0x03, 0x1a, 2, b'n', b'o'];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await?;
                while let Some(stream) = connection.accept().await {
                    let (request, mut respond) = stream?;
                    tokio::spawn(async move {
                        let mut body = request.into_body();
                        let head = http::Response::builder().header("content-type", "application/grpc");
                        let mut send = respond.send_response(head.body(()).unwrap(), false)?;
                        // Two messages: the head, then all of the body.
                        for reply in [PASS, REJECT] {
                            let Some(message) = body.data().await else { break };
                            body.flow_control().release_capacity(message?.len())?;
                            send.send_data(Bytes::from_static(reply), false)?;
                        }
                        let mut trailers = http::HeaderMap::new();
                        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                        send.send_trailers(trailers)
                    });
                }
                Ok::<_, h2::Error>(())
            });
        }
    });
    port
}

#[tokio::test]
async fn response_that_an_external_processor_rejected_is_an_error_with_the_status_that_the_client_got() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let port = rejecting_service().await;
    let processor = edits::filter(
        "ext_proc",
        "ExternalProcessor",
        ", grpc_service: {envoy_grpc: {cluster_name: processor}}, processing_mode: {request_header_mode: SKIP, \
         response_header_mode: SEND, response_body_mode: BUFFERED}",
    );
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| {
        let cluster = format!("{}, {}", edits::cluster("processor", port), edits::HTTP2);
        edits::filter_before(edits::clusters(config, &[&cluster])?, &processor)
    })
    .await
    .unwrap();
    for body in [PROMPT, STREAM] {
        let response = envoy.send(COMPLETIONS, "", body).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (403, &b"no"[..]));
        // The model server generated the tokens all the same.
        let exchange = Measured {
            response_bytes: None,
            ..Measured::response(body, &response).failed("Forbidden").tokens(3, 4)
        };
        envoy.check_after(exchange).await.unwrap();
    }
}

/// It is recorded once, usually as the model server sent it; docs/metrics.md says so.
#[tokio::test]
async fn response_that_was_replaced_at_once_is_recorded_once() {
    let (_sim, envoy) = guarded("").await;
    let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(response.status, 403);
    let once = |stats: &Stats| match requests(stats) {
        1 => Ok(()),
        count => Err(format!("{count} requests")),
    };
    envoy.scrape_until(once).await.unwrap();
    envoy.wait_for_running(0).await.unwrap();
}
