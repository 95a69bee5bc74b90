//! Every chat and completions capture of a real vLLM goes through a real Envoy, in several chunkings and with both ways
//! of breaking off; the client's bytes stay as they are, and after every exchange every series is what the capture says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use std::net::SocketAddr;

use infertally_harness::capture::{Answer, Capture};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::expected::Expected;
use infertally_harness::reading::{End, read};
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{client, repository};
use infertally_sim::{Replay, ReplayConfig};

/// A vLLM of generating models, one of an embedding model, a llama-server, and the forms of other servers.
const FOLDERS: [&str; 4] = [
    "tests/fixtures/vllm-0.32.0",
    "tests/fixtures/vllm-0.32.0-embed",
    "tests/fixtures/llama.cpp-0.5.0",
    "tests/fixtures/formats",
];
/// What is measured: the end of a path that is asked with POST.
const PATHS: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/chat/completions/batch",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/pooling",
    "/v1/audio/transcriptions",
];

/// How an answer is cut, and the request.
#[derive(Clone, Copy, Debug)]
struct Chunking {
    answer: &'static str,
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

fn request(capture: &Capture, answer: &str, end: &str) -> Vec<u8> {
    let headers = [
        ("x-sim-replay", capture.name.as_str()),
        ("x-sim-chunk", answer),
        ("x-sim-end", end),
    ];
    client::request(&capture.method, &capture.path, &headers, &capture.request_body)
}

/// The one exchange between two scrapes took so many microseconds: every bucket must say the same.
fn check_duration(before: &Stats, after: &Stats, took_us: u64) {
    const COUNTER: &str = "inference_model_request_duration_microseconds_total";
    let rise = |series: &Series| after[series] - before.get(series).copied().unwrap_or_default();
    let (counter, duration_us) = after
        .keys()
        .filter(|series| series.name == COUNTER)
        .map(|series| (series, rise(series)))
        .find(|(_, us)| *us > 0)
        .unwrap();
    assert!(duration_us <= took_us, "{duration_us} µs of the client's {took_us}");
    let mut buckets = 0;
    for series in after
        .keys()
        .filter(|series| series.name == "inference_model_request_duration_seconds_bucket")
    {
        if series.label("model_name") == counter.label("model_name")
            && series.label("target_model_name") == counter.label("target_model_name")
        {
            let bound: f64 = series.label("le").replace("+Inf", "inf").parse().unwrap();
            assert_eq!(
                rise(series),
                u64::from(duration_us as f64 <= bound * 1e6),
                "{series} of {duration_us} µs"
            );
            buckets += 1;
        }
    }
    assert_eq!(buckets, 36);
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
            let request = request(capture, chunking.answer, "");
            let timed = client::exchange(envoy.listener(), &request, chunking.request)
                .await
                .unwrap();
            let Answer {
                status, body, whole, ..
            } = &timed.answer;
            assert_eq!(
                (*status, *whole),
                (capture.answer.status, capture.answer.whole),
                "{}",
                capture.name
            );
            let passed = if capture.answer.whole {
                &capture.answer.body[..]
            } else {
                &capture.answer.body[..body.len()]
            };
            assert_eq!(body, passed, "{} in {chunking:?}: the answer was changed", capture.name);

            let is_measured = capture.method == "POST" && PATHS.iter().any(|path| capture.path.ends_with(path));
            if is_measured {
                let end = if capture.answer.whole {
                    End::Whole
                } else {
                    End::ServerCut
                };
                expected.add(&read(&capture.path, &capture.request_body, &timed.answer, end));
            }
            let after = envoy
                .scrape_until(|stats| expected.check(stats))
                .await
                .unwrap_or_else(|error| panic!("{} in {chunking:?}:\n{error}", capture.name));
            if is_measured {
                check_duration(&before, &after, u64::try_from(timed.took.as_micros()).unwrap());
            }
            before = after;
        }
        measured += expected.requests();
        assert_eq!(envoy.log().matches("wasm").count(), 0, "{}", envoy.log());
    }
    assert_eq!(measured, 120 + 22 + 13);
}

#[tokio::test]
async fn every_capture_in_one_piece() {
    run(Chunking {
        answer: "whole",
        request: usize::MAX,
    })
    .await;
}

#[tokio::test]
async fn every_capture_in_the_pieces_it_came_in() {
    run(Chunking {
        answer: "captured",
        request: 64,
    })
    .await;
}

#[tokio::test]
async fn every_capture_seven_bytes_at_a_time() {
    run(Chunking {
        answer: "7",
        request: 7,
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_no_error() {
    let [folder, ..] = FOLDERS;
    let replay = replay(folder).await;
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), replay.addr(), 1, Ok)
        .await
        .unwrap();
    let mut expected = Expected::new(1);
    for name in ["chat_stream_abort", "completions_stream_abort"] {
        let capture = Capture::load(&repository(folder), name).unwrap();
        let all = capture.answer.body.len();
        let answer = client::leave_after(envoy.listener(), &request(&capture, "captured", "hang"), all)
            .await
            .unwrap();
        assert_eq!(answer.body, capture.answer.body);
        expected.add(&read(&capture.path, &capture.request_body, &answer, End::ClientLeft));
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
