//! Ten thousand concurrent streams: all are counted as running, in a bounded heap.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use infertally_harness::checked_envoy::COMPLETIONS;
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::http2::Client;
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{edits, heartbeats};
use infertally_oracle::totals::requests;
use infertally_sim::{Sim, SimConfig};

const WORKERS: u64 = 2;
const CONNECTIONS: usize = 100;
const STREAMS: usize = 10_000;
/// Limit of a stream's share of a worker's memory, with the allocator's overhead.
const EACH: u64 = 6 * 1024;
const MIB: u64 = 1024 * 1024;

fn value(stats: &Stats, name: &str, labels: &[(&str, &str)]) -> u64 {
    stats.get(&Series::new(name, labels)).copied().unwrap_or_default()
}

fn running(stats: &Stats) -> u64 {
    value(stats, "inference_model_running_requests", &[("model_name", "tiny")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_run_concurrently() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), WORKERS, |config| {
        let limits = "{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}";
        edits::model_server(config, &format!("circuit_breakers: {{thresholds: [{limits}]}}"))?.replace(
            "connect_timeout: 5s",
            "connect_timeout: 30s\n    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \
             \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        \
             explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 200}}",
        )
    })
    .await
    .unwrap();
    let body = br#"{"model":"tiny","prompt":"a","stream":true,"max_tokens":9}"#;
    let (mut clients, mut sent) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(envoy.listener()).await.unwrap();
        for _ in 0..STREAMS / CONNECTIONS {
            sent.push(client.post(COMPLETIONS, "hang=event:3", body).await.unwrap());
        }
        clients.push(client);
    }
    let all = |stats: &Stats| match running(stats) {
        count if count == STREAMS as u64 => Ok(()),
        count => Err(format!("{count} running")),
    };
    envoy.scrape_until(all).await.unwrap();
    drop((sent, clients));
    let none = |stats: &Stats| match (running(stats), requests(stats)) {
        (0, count) if count == STREAMS as u64 => Ok(()),
        seen => Err(format!("{seen:?}")),
    };
    envoy.scrape_until(none).await.unwrap();
    // A VM's memory never shrinks, so the gauge still shows its maximum.
    let stats = heartbeats::scrape_after_all(&envoy).await.unwrap();
    let heap = value(&stats, "infertally_filter_memory_bytes", &[]);
    assert!(heap > 0 && heap <= 2 * MIB + STREAMS as u64 * EACH, "{heap} bytes");
}
