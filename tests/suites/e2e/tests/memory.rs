//! Bodies of any size are read in a bounded heap.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::flood::Flood;
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{client, heartbeats};

/// Limit of a worker's VM that reads one exchange at a time: its initial memory and a few read buffers.
const HEAP_LIMIT: u64 = 2 * 1024 * 1024;
const GIB: u64 = 1024 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

fn value(stats: &Stats, name: &str) -> u64 {
    let labels: &[(&str, &str)] = if name.starts_with("inference") {
        &[("model_name", "tiny"), ("target_model_name", "tiny")]
    } else {
        &[]
    };
    stats.get(&Series::new(name, labels)).copied().unwrap_or_default()
}

#[tokio::test]
async fn bodies_of_any_size_are_read_in_a_bounded_heap() {
    let flood = Flood::start().await.unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), flood.addr(), 1, Ok)
        .await
        .unwrap();
    let mut bytes = 0;
    // A stream of ten minutes at 50 events a second has 30,000 events.
    let floods = [("json", GIB), ("event", 50 * MIB), ("events", 30_000)];
    for (count, (what, size)) in (1..).zip(floods) {
        let path = format!("/v1/chat/completions?{what}={size}");
        let request = client::request("POST", &path, &[], br#"{"model":"tiny"}"#);
        let received = client::drain(envoy.listener(), &request).await.unwrap();
        assert!(
            received >= if what == "events" { size * 50 } else { size },
            "{received} bytes of {what}"
        );
        bytes += received;
        let stats = envoy
            .scrape_until(|stats| match value(stats, "inference_model_output_tokens_sum") {
                sum if sum == count * 8 => Ok(()),
                sum => Err(format!("{sum} tokens after {what}")),
            })
            .await
            .unwrap();
        // Every byte was counted, but for head and framing.
        let counted = value(&stats, "inference_model_response_sizes_sum");
        assert!(counted < bytes && counted > bytes - bytes / 100, "{counted} of {bytes}");
    }
    let stats = heartbeats::scrape_after_all(&envoy).await.unwrap();
    let heap = value(&stats, "infertally_filter_memory_bytes");
    assert!(heap > 0 && heap <= HEAP_LIMIT, "{heap} bytes");
}
