//! Streams that stay open while others are measured.

use std::net::SocketAddr;

use infertally_harness::Result;
use infertally_harness::edits;
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::http2::{Client, IncomingResponse};

use crate::workload::{SELECT, Workload};

const NAME: &str = "held";
/// Few connections, so that Envoy's memory is that of the streams.
const STREAMS_PER_CONNECTION: usize = 100;
const BODY: &[u8] = br#"{"model":"tiny","messages":[{"role":"user","content":"hello"}],"stream":true}"#;

/// Open streams. They are closed when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct HeldStreams {
    _connections: Vec<Client>,
    _responses: Vec<IncomingResponse>,
}

/// The workload whose response the streams receive.
pub(crate) fn workload() -> Workload {
    Workload::held(NAME)
}

/// Allows this many requests in flight to the upstream.
pub(crate) fn allow(config: EnvoyConfig, streams: usize) -> Result<EnvoyConfig> {
    let limit = streams + 1000;
    let limits = format!("{{max_connections: {limit}, max_pending_requests: {limit}, max_requests: {limit}}}");
    edits::model_server(config, &format!("circuit_breakers: {{thresholds: [{limits}]}}"))
}

/// Opens streams and waits until each has its first events.
pub(crate) async fn hold(envoy: SocketAddr, streams: usize) -> Result<HeldStreams> {
    let mut held = HeldStreams::default();
    let mut opened = 0;
    while opened < streams {
        let mut client = Client::connect(envoy).await?;
        let count = STREAMS_PER_CONNECTION.min(streams - opened);
        let mut sent = Vec::new();
        for _ in 0..count {
            let headers = [("content-type", "application/json"), (SELECT, NAME)];
            let mut request = client.open("POST", "/v1/chat/completions", &headers, false).await?;
            request.body.send_data(BODY.into(), true)?;
            sent.push(request);
        }
        for request in sent {
            let (mut response, _) = request.headers().await?;
            response
                .wait_for("model")
                .await
                .map_err(|error| format!("open stream {}: {error}", held._responses.len()))?;
            held._responses.push(response);
        }
        held._connections.push(client);
        opened += count;
    }
    Ok(held)
}
