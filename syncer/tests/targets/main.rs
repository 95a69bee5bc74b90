//! The real syncer against model servers with TLS and tokens: which it trusts, what it proves to them, and what an operator
//! sees when that fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

mod arguments;
mod certificates;
mod kubernetes;
mod pki;
mod reload;
mod server;
mod tokens;

use std::path::Path;

use infertally_harness::Syncer;

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");
/// Short, with slack for a busy machine.
const PACE: [&str; 6] = [
    "--scrape-interval",
    "500ms",
    "--scrape-timeout",
    "450ms",
    "--stale-after",
    "5s",
];

async fn syncer(arguments: &[&str]) -> Syncer {
    Syncer::pool(Path::new(BINARY), &[&PACE[..], arguments].concat())
        .await
        .unwrap()
}

/// The load of a server, see [`server::WAITING`].
fn is_read(pod: &str) -> String {
    let waiting = server::WAITING;
    format!("inference_pool_per_pod_queue_size{{name=\"default\",model_server_pod=\"{pod}\"}} {waiting}")
}

/// The start of the sample that counts a pod's failed scrapes.
fn failed(pod: &str, reason: &str) -> String {
    format!("inference_pool_scrape_errors_total{{name=\"default\",model_server_pod=\"{pod}\",reason=\"{reason}\"}}")
}

/// Waits until these pods are read.
async fn reads(syncer: &Syncer, pods: &[&str]) {
    let lines: Vec<_> = pods.iter().map(|pod| is_read(pod)).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    if let Err(error) = syncer.shows(&lines, &[]).await {
        panic!("{error}\n{}", syncer.log());
    }
}

/// Waits until the log has a line about the pod's failure with this reason and text.
async fn logs_failure(syncer: &Syncer, pod: &str, reason: &str, text: &str) {
    let name = format!("name={pod} ");
    let reason = format!("reason=\"{reason}\"");
    let has = |line: &str| {
        line.contains("scrape of pod failed") && [&name, &reason, text].iter().all(|part| line.contains(*part))
    };
    let logged = infertally_harness::eventually(async || match syncer.log().lines().any(has) {
        true => Ok(()),
        false => Err(format!("no line about {pod} with {reason} and {text:?} in\n{}", syncer.log()).into()),
    });
    logged.await.unwrap();
}

/// Waits until the log has `count` lines with this text.
async fn logs(syncer: &Syncer, text: &str, count: usize) {
    let logged = infertally_harness::eventually(async || match lines(syncer, text) {
        lines if lines >= count => Ok(()),
        lines => Err(format!("{lines} lines with {text:?}, expected {count}, in\n{}", syncer.log()).into()),
    });
    logged.await.unwrap();
    assert_eq!(lines(syncer, text), count, "{}", syncer.log());
}

fn lines(syncer: &Syncer, text: &str) -> usize {
    syncer.log().lines().filter(|line| line.contains(text)).count()
}
