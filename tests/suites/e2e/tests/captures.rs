//! Every capture of a real vLLM is replayed through a real Envoy, in several chunkings and cut off by server and client: the
//! bytes pass unchanged, and after each exchange every series is what the oracle expects.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::net::SocketAddr;

use infertally_harness::capture::{Capture, Response};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{client, repository};
use infertally_oracle::api::Api;
use infertally_oracle::{Completion, Expected, duration, read};
use infertally_sim::{Replay, ReplayConfig};

/// Captures of a vLLM with generating models, of one with an embedding model, of a llama-server, and the forms of others.
const FOLDERS: [&str; 4] = [
    "tests/fixtures/vllm-0.32.0",
    "tests/fixtures/vllm-0.32.0-embed",
    "tests/fixtures/llama.cpp-0.5.0",
    "tests/fixtures/formats",
];

/// How the response is cut, and the request.
#[derive(Clone, Copy, Debug)]
struct Chunking {
    response: &'static str,
    request: usize,
}

async fn replay(folder: &str) -> Replay {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Replay::start(ReplayConfig {
        listen,
        dir: repository(folder),
    })
    .await
    .unwrap()
}

fn request(capture: &Capture, chunks: &str, end: &str) -> Vec<u8> {
    let headers = [
        ("x-sim-replay", capture.name.as_str()),
        ("x-sim-chunk", chunks),
        ("x-sim-end", end),
    ];
    client::request(&capture.method, &capture.path, &headers, &capture.request_body)
}

async fn run(chunking: Chunking) {
    let binaries = Binaries::from_env().unwrap();
    let mut measured = 0;
    for folder in FOLDERS {
        let replay = replay(folder).await;
        let envoy = Envoy::start(&binaries, replay.addr(), 1, Ok).await.unwrap();
        let mut expected = Expected::new(1);
        let mut before = Stats::new();
        for capture in &Capture::load_all(&repository(folder)).unwrap() {
            let request = request(capture, chunking.response, "");
            let timed = client::exchange(envoy.listener(), &request, chunking.request)
                .await
                .unwrap();
            let Response {
                status, body, complete, ..
            } = &timed.response;
            assert_eq!(
                (*status, *complete),
                (capture.response.status, capture.response.complete),
                "{}",
                capture.name
            );
            let passed = if capture.response.complete {
                &capture.response.body[..]
            } else {
                &capture.response.body[..body.len()]
            };
            assert_eq!(
                body, passed,
                "{} in {chunking:?}: the response was changed",
                capture.name
            );

            let is_measured = Api::of(&capture.method, &capture.path).is_some();
            if is_measured {
                let completion = if capture.response.complete {
                    Completion::Complete
                } else {
                    Completion::UpstreamReset
                };
                let facts = read(&capture.path, &capture.request_body, &timed.response, completion).unwrap();
                expected.add(&facts);
            }
            let after = envoy
                .scrape_until(|stats| expected.check(stats))
                .await
                .unwrap_or_else(|error| panic!("{} in {chunking:?}:\n{error}", capture.name));
            if is_measured {
                let took_us = u64::try_from(timed.took.as_micros()).unwrap();
                duration::check(&before, &after, took_us).unwrap();
            }
            before = after;
        }
        measured += expected.requests();
        assert_eq!(envoy.log().matches("wasm").count(), 0, "{}", envoy.log());
    }
    assert_eq!(measured, 120 + 22 + 13);
}

#[tokio::test]
async fn every_capture_is_measured_in_one_chunk() {
    run(Chunking {
        response: "whole",
        request: usize::MAX,
    })
    .await;
}

#[tokio::test]
async fn every_capture_is_measured_in_its_own_chunks() {
    run(Chunking {
        response: "captured",
        request: 64,
    })
    .await;
}

#[tokio::test]
async fn every_capture_is_measured_in_chunks_of_seven_bytes() {
    run(Chunking {
        response: "7",
        request: 7,
    })
    .await;
}

#[tokio::test]
async fn a_client_disconnect_in_a_stream_is_no_error() {
    let [folder, ..] = FOLDERS;
    let replay = replay(folder).await;
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), replay.addr(), 1, Ok)
        .await
        .unwrap();
    let mut expected = Expected::new(1);
    for name in ["chat_stream_abort", "completions_stream_abort"] {
        let capture = Capture::load(&repository(folder), name).unwrap();
        let all = capture.response.body.len();
        let response = client::disconnect_after(envoy.listener(), &request(&capture, "captured", "hang"), all)
            .await
            .unwrap();
        assert_eq!(response.body, capture.response.body);
        let completion = Completion::ClientDisconnect;
        expected.add(&read(&capture.path, &capture.request_body, &response, completion).unwrap());
        envoy.scrape_until(|stats| expected.check(stats)).await.unwrap();
    }
    let stats = envoy.scrape().await.unwrap();
    assert!(
        stats.keys().all(|series| !series.name.contains("error_total")),
        "{stats:?}"
    );
    assert_eq!(
        stats[&Series::new("inference_model_running_requests", &[("model_name", "tiny")])],
        0
    );
    let cancelled = Series::new(
        "inference_model_client_cancelled_total",
        &[("model_name", "tiny"), ("target_model_name", "tiny")],
    );
    assert_eq!(stats[&cancelled], 2);
}
