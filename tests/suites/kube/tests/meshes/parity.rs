//! Sends the same traffic through the Envoy of a mesh and the shipped one, and compares their series.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use infertally_harness::client::{exchange, request};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{Result, eventually};
use infertally_sim::{Sim, SimConfig};
use serde_json::json;

use crate::rendered::Running;

/// The guide's metrics of requests, histograms by their buckets.
const GUIDE: [(&str, &[&str]); 8] = [
    ("inference_model_request_total", &["model_name", "target_model_name"]),
    (
        "inference_model_request_error_total",
        &["error_code", "model_name", "target_model_name"],
    ),
    (
        "inference_model_request_duration_seconds_bucket",
        &["le", "model_name", "target_model_name"],
    ),
    (
        "normalized_time_per_output_token_seconds_bucket",
        &["le", "model_name", "target_model_name"],
    ),
    (
        "inference_model_request_sizes_bucket",
        &["le", "model_name", "target_model_name"],
    ),
    (
        "inference_model_response_sizes_bucket",
        &["le", "model_name", "target_model_name"],
    ),
    (
        "inference_model_input_tokens_bucket",
        &["le", "model_name", "target_model_name"],
    ),
    (
        "inference_model_output_tokens_bucket",
        &["le", "model_name", "target_model_name"],
    ),
];
/// The other metrics of the guide.
const GUIDE_OTHERS: [(&str, &[&str]); 2] = [
    ("inference_model_running_requests", &["model_name"]),
    ("inference_extension_info", &["build_ref", "commit"]),
];
const REQUESTS: u64 = 3;

/// Starts a model server with the model `tiny`.
pub(crate) async fn server() -> Result<Sim> {
    Ok(Sim::start(SimConfig::default()).await?)
}

/// Sends a JSON request, a stream and an invalid request. Returns the statuses.
async fn traffic(to: SocketAddr) -> Result<Vec<u16>> {
    let messages = json!([{"role": "user", "content": "What is your favourite movie?"}]);
    let usage = json!({"include_usage": true});
    let mut statuses = Vec::new();
    for body in [
        json!({"model": "tiny", "max_tokens": 5, "messages": messages}),
        json!({"model": "tiny", "max_tokens": 5, "messages": messages, "stream": true, "stream_options": usage}),
        json!({"model": "none", "messages": messages}),
    ] {
        let request = request("POST", "/v1/chat/completions", &[], body.to_string().as_bytes());
        statuses.push(exchange(to, &request, usize::MAX).await?.response.status);
    }
    Ok(statuses)
}

fn check_all_counted(stats: &Stats) -> Result<()> {
    let counted = stats.iter().filter(|(series, _)| series.name.contains("request_total"));
    let counted: u64 = counted.map(|(_, value)| value).sum();
    if counted == REQUESTS {
        Ok(())
    } else {
        Err(format!("{counted} of {REQUESTS} requests counted:\n{stats:?}").into())
    }
}

fn check_same_series(a: &Stats, b: &Stats) -> Result<()> {
    let series = |stats: &Stats| stats.keys().map(Series::to_string).collect::<BTreeSet<_>>();
    let (a, b) = (series(a), series(b));
    let differ: Vec<_> = a.symmetric_difference(&b).collect();
    if differ.is_empty() {
        Ok(())
    } else {
        Err(format!("series in only one of the two: {differ:?}").into())
    }
}

/// Sends the traffic through both and compares.
pub(crate) async fn has_the_same_series(mesh: &Running, server: &Sim) -> Result<()> {
    let shipped = Envoy::start(&Binaries::from_env()?, server.addr(), 1, Ok).await?;
    assert_eq!(traffic(shipped.listener()).await?, [200, 200, 404]);
    assert_eq!(traffic(mesh.listener).await?, [200, 200, 404]);
    eventually(async || check_all_counted(&shipped.scrape().await?)).await?;
    let of_mesh = eventually(async || {
        let stats = mesh.scrape().await?;
        check_all_counted(&stats)?;
        // Retried, because the series of the filter's own health appear after a moment.
        check_same_series(&shipped.scrape().await?, &stats).map(|()| stats)
    })
    .await
    .map_err(|error| format!("{error}\n{}", mesh.log()))?;
    for (name, labels) in GUIDE.iter().chain(&GUIDE_OTHERS) {
        let mut found = of_mesh.keys().filter(|series| series.name == *name).peekable();
        assert!(found.peek().is_some(), "no {name}");
        for series in found {
            assert!(series.labels.keys().eq(labels.iter()), "{series}");
        }
    }
    Ok(())
}
