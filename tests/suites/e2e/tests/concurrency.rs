//! Two hundred concurrent exchanges on two worker threads: all sums are exact, and nothing keeps running.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::sync::Arc;

use infertally_harness::capture::Response;
use infertally_harness::client;
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{Series, Stats};
use infertally_oracle::{Completion, Expected, Facts, read};
use infertally_sim::{Sim, SimConfig};
use tokio::sync::Barrier;

const AT_ONCE: usize = 200;
const WORKERS: u64 = 2;

/// The Nth request: JSON and streams, both APIs, two models, several sizes and chunkings, and errors.
fn nth(n: usize) -> Vec<u8> {
    let model = if n.is_multiple_of(3) { "lora-a" } else { "tiny" };
    let (tokens, words) = (1 + n % 40, "word ".repeat(1 + n % 17));
    let stream = if n.is_multiple_of(2) {
        r#","stream":true,"stream_options":{"include_usage":true}"#
    } else {
        ""
    };
    let (path, prompt) = if n.is_multiple_of(5) {
        ("/v1/completions", format!(r#""prompt":"{words}""#))
    } else {
        (
            "/v1/chat/completions",
            format!(r#""messages":[{{"role":"user","content":"{words}"}}]"#),
        )
    };
    let body = format!(r#"{{{prompt},"max_tokens":{tokens}{stream},"model":"{model}"}}"#);
    let behaviour = match n % 8 {
        0 => "chunk=1",
        1 => "delay=20ms",
        2 => "gap=2ms",
        3 => "chunk=11",
        4 => "status=503",
        5 => "chunk=all",
        6 => "eol=crlf;comments=yes",
        _ => "token-bytes=300",
    };
    client::request("POST", path, &[("x-sim", behaviour)], body.as_bytes())
}

/// The facts of a response, compared with those in the simulator's headers.
fn checked_facts(request: &[u8], response: &Response) -> Facts {
    let body = request
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| &request[at + 4..])
        .unwrap();
    assert!(response.complete, "{:?}", response.headers);
    let facts = read("/v1/chat/completions", body, response, Completion::Complete).unwrap();
    if facts.is_success {
        let header = |name: &str| response.header(name).unwrap().parse::<u64>().ok();
        assert_eq!(response.header("x-sim-model"), facts.response_model.as_deref());
        assert_eq!(
            (header("x-sim-prompt-tokens"), header("x-sim-completion-tokens")),
            (facts.usage.input, facts.usage.output)
        );
        assert!(facts.usage.output.is_some());
    }
    facts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_exchanges_are_counted_exactly() {
    let sim = Sim::start(SimConfig {
        adapters: vec!["lora-a".to_owned()],
        ..SimConfig::default()
    })
    .await
    .unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), WORKERS, |config| {
        // Admitted from the start: which of many concurrent exchanges would admit them is not deterministic.
        config.replace(r#""models": []"#, r#""models": ["tiny", "lora-a"]"#)
    })
    .await
    .unwrap();
    let mut expected = Expected::admitting(WORKERS, ["tiny", "lora-a"]);
    for _round in 0..3 {
        let start = Arc::new(Barrier::new(AT_ONCE));
        let exchanges: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let (start, listener) = (Arc::clone(&start), envoy.listener());
                tokio::spawn(async move {
                    let request = nth(n);
                    start.wait().await;
                    let response = client::exchange(listener, &request, usize::MAX).await.unwrap().response;
                    checked_facts(&request, &response)
                })
            })
            .collect();
        for exchange in exchanges {
            expected.add(&exchange.await.unwrap());
        }
        envoy.scrape_until(|stats| expected.check(stats)).await.unwrap();
    }
    assert_eq!(expected.requests(), 3 * AT_ONCE as u64);
    // Both workers took part.
    let page = client::get(envoy.admin(), "/stats?filter=worker_.*downstream_cx_total")
        .await
        .unwrap();
    let busy = page
        .lines()
        .filter(|line| line.contains("listener.127") && !line.ends_with(": 0"))
        .count();
    assert!(busy >= 2, "{page}");
}

#[tokio::test]
async fn the_gauge_of_running_requests_follows_them() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), WORKERS, Ok)
        .await
        .unwrap();
    let running = Series::new("inference_model_running_requests", &[("model_name", "tiny")]);
    let is = |count: u64| {
        let running = &running;
        move |stats: &Stats| match stats.get(running) {
            Some(seen) if *seen == count => Ok(()),
            seen => Err(format!("{seen:?} running, must be {count}")),
        }
    };
    let body = br#"{"model":"tiny","prompt":"a","stream":true,"max_tokens":9}"#;
    let request = client::request("POST", "/v1/completions", &[("x-sim", "hang=event:3")], body);
    let mut in_flight = Vec::new();
    for count in 1..=5 {
        let (listener, request) = (envoy.listener(), request.clone());
        in_flight.push(tokio::spawn(async move {
            client::disconnect_after(listener, &request, usize::MAX).await
        }));
        envoy.scrape_until(is(count)).await.unwrap();
    }
    for count in (0..5).rev() {
        in_flight.pop().unwrap().abort();
        envoy.scrape_until(is(count)).await.unwrap();
    }
}
