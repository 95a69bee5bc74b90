//! What the guide's reference implementation gets wrong on real traffic, as it was measured: each of its mistakes is a
//! test here, under its number in that measurement and with what was recorded.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use std::sync::Arc;

use infertally_harness::client;
use infertally_harness::counted::{COMPLETIONS, Counted};
use infertally_harness::message::Kind;
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::{Leaving, Wire};
use infertally_sim::{Sim, SimConfig};
use tokio::sync::Semaphore;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = r#""messages":[{"role":"user","content":"What is your favourite movie?"}]"#;
/// Five prompt tokens and eight completion tokens.
const STREAM: &[u8] = br#"{"model":"tiny","messages":[{"role":"user","content":"What is your favourite movie?"}],"max_tokens":8,"stream":true,"stream_options":{"include_usage":true}}"#;
const TEXT: &str = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn simulated() -> (Sim, Counted) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let counted = Counted::start(sim.addr(), Ok).await.unwrap();
    (sim, counted)
}

fn keep_alive(x_sim: &str, body: &[u8]) -> Vec<u8> {
    let request = client::request("POST", CHAT, &[("x-sim", x_sim)], body);
    String::from_utf8(request)
        .unwrap()
        .replace("connection: close\r\n", "")
        .into_bytes()
}

/// Row 1: the tokens of 76 to 82 streams of 100, by timing.
#[tokio::test]
async fn usage_and_end_marker_in_two_writes_back_to_back_are_both_seen_a_hundred_times() {
    let (_sim, mut counted) = simulated().await;
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    for _ in 0..100 {
        wire.send(keep_alive("", STREAM)).await.unwrap();
        let answer = wire.message(Kind::Answer).await.unwrap();
        let exchange = Exchange::told(STREAM, &answer.into());
        assert_eq!((exchange.input, exchange.output), (Some(5), Some(8)));
        counted.add(exchange);
    }
    counted.hold().await.unwrap();
}

/// Row 2: no tokens.
#[tokio::test]
async fn a_stream_may_be_cut_anywhere_and_pause_there() {
    let pieces: [Vec<&str>; 5] = [
        vec![TEXT, USAGE, DONE],
        vec![TEXT, &USAGE[..40], &USAGE[40..], DONE],
        vec![TEXT, USAGE, &DONE[..9], &DONE[9..]],
        vec![TEXT, &USAGE[..USAGE.len() - 1], "\n", "d", "ata: [DONE]\n\n"],
        vec![&TEXT[..3], &TEXT[3..], USAGE, DONE],
    ];
    // A piece goes out when the client has the one before, so Envoy has seen each alone.
    let gate = Arc::new(Semaphore::new(0));
    let (opened, says) = (Arc::clone(&gate), pieces.clone());
    let upstream = Upstream::answering(move |mut wire: Wire, _, before| {
        let (gate, pieces) = (Arc::clone(&opened), says[before].clone());
        async move {
            wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            for piece in pieces {
                gate.acquire().await?.forget();
                wire.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await?;
            }
            gate.acquire().await?.forget();
            wire.send("0\r\n\r\n").await.map(|()| Some(wire))
        }
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    for pieces in pieces {
        wire.send(keep_alive("", STREAM)).await.unwrap();
        wire.see("\r\n\r\n").await.unwrap();
        for piece in &pieces {
            gate.add_permits(1);
            wire.see(format!("{:x}\r\n{piece}\r\n", piece.len())).await.unwrap();
        }
        gate.add_permits(1);
        let answer = wire.message(Kind::Answer).await.unwrap().into();
        counted
            .count(Exchange::answered(STREAM, &answer).tokens(5, 8))
            .await
            .unwrap_or_else(|error| panic!("{pieces:?}: {error}"));
    }
}

/// Row 2, by the clock: no tokens.
#[tokio::test]
async fn ten_milliseconds_between_two_events_change_nothing() {
    let (_sim, mut counted) = simulated().await;
    let answer = counted.send(CHAT, "gap=10ms", STREAM).await.unwrap();
    counted.count(Exchange::told(STREAM, &answer)).await.unwrap();
}

/// Row 3: nothing, and nothing said so.
#[tokio::test]
async fn a_stream_without_usage_counts_and_has_no_tokens() {
    let (_sim, mut counted) = simulated().await;
    let body = format!(r#"{{"model":"tiny",{MESSAGES},"max_tokens":8,"stream":true}}"#);
    let answer = counted.send(CHAT, "", body.as_bytes()).await.unwrap();
    counted
        .count(Exchange::answered(body.as_bytes(), &answer))
        .await
        .unwrap();
}

/// Row 4: a size of 0.
#[tokio::test]
async fn a_stream_is_as_large_as_its_bytes() {
    let (_sim, mut counted) = simulated().await;
    for tokens in [1, 8, 40] {
        let answer = counted
            .send(CHAT, &format!("completion={tokens}"), STREAM)
            .await
            .unwrap();
        assert!(answer.body.len() > 200 * tokens);
        counted.count(Exchange::told(STREAM, &answer)).await.unwrap();
    }
}

/// Row 5: no tokens.
#[tokio::test]
async fn no_space_is_needed_after_data() {
    let (_sim, mut counted) = simulated().await;
    let answer = counted.send(CHAT, "space=no", STREAM).await.unwrap();
    assert!(answer.body.starts_with(b"data:{"));
    counted.count(Exchange::told(STREAM, &answer)).await.unwrap();
}

/// Row 6: no tokens, and of JSON neither duration nor size.
#[tokio::test]
async fn an_answer_in_gzip_counts_like_any_other() {
    let (_sim, mut counted) = simulated().await;
    let json = format!(r#"{{"model":"tiny",{MESSAGES},"max_tokens":8}}"#);
    for body in [json.as_bytes(), STREAM] {
        let answer = counted.send(CHAT, "encoding=gzip", body).await.unwrap();
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert!(answer.body.starts_with(b"\x1f\x8b"));
        counted
            .count(Exchange::answered(body, &answer).tokens(5, 8))
            .await
            .unwrap();
    }
}

/// Row 7: no error, and a 404 was a success.
#[tokio::test]
async fn a_bad_status_is_an_error_with_a_body_and_without() {
    let (_sim, mut counted) = simulated().await;
    for (status, code) in [
        (404, "NotFound"),
        (500, "ModelServerError"),
        (503, "ServiceUnavailable"),
    ] {
        for body in ["", ";body=none"] {
            let answer = counted
                .send(CHAT, &format!("status={status}{body}"), STREAM)
                .await
                .unwrap();
            counted
                .count(Exchange::answered(STREAM, &answer).failed(code))
                .await
                .unwrap();
        }
    }
}

/// Row 8: a success.
#[tokio::test]
async fn an_error_event_before_the_end_marker_is_an_error() {
    let (_sim, mut counted) = simulated().await;
    let answer = counted.send(CHAT, "error=event:3", STREAM).await.unwrap();
    assert!(answer.status == 200 && answer.body.ends_with(b"data: [DONE]\n\n"));
    counted
        .count(Exchange::answered(STREAM, &answer).failed("StreamError"))
        .await
        .unwrap();
}

/// Row 9: the request, and nothing else.
#[tokio::test]
async fn whoever_breaks_a_stream_off_what_came_until_then_counts() {
    let (_sim, mut counted) = simulated().await;
    let continuous = String::from_utf8_lossy(STREAM).replace(
        "{\"include_usage\":true}",
        "{\"include_usage\":true,\"continuous_usage_stats\":true}",
    );
    // The role's event, and three tokens.
    let cut = counted.send(CHAT, "cut=event:4", continuous.as_bytes()).await.unwrap();
    let exchange = Exchange::answered(continuous.as_bytes(), &cut).tokens(5, 3);
    counted.count(exchange.failed("UpstreamReset")).await.unwrap();

    let request = client::request("POST", CHAT, &[("x-sim", "hang=event:4")], continuous.as_bytes());
    let answer = client::leave_after_events(counted.listener(), &request, 4)
        .await
        .unwrap();
    let exchange = Exchange::left(continuous.len(), answer.body.len()).tokens(5, 3);
    counted.count(exchange).await.unwrap();
}

/// Row 10: a 400 to the client, and an error without a request.
#[tokio::test]
async fn a_request_that_the_filter_cant_read_is_passed_on_as_it_is_and_counts() {
    let upstream = Upstream::answering(|mut wire: Wire, _, _| async move {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            .await?;
        Ok(Some(wire))
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    for (path, body) in [
        (CHAT, "this is no JSON"),
        (CHAT, "{\"model\": \"tiny\", "),
        (CHAT, r#"{"messages":[]}"#),
        (CHAT, r#"{"model":7,"model":["x"]}"#),
        (COMPLETIONS, r#"{"model":"tiny","prompt":["a","b"]}"#),
        (COMPLETIONS, r#"{"model":"tiny","prompt":[[1,2],[3]]}"#),
        ("/v1/embeddings", r#"{"model":"tiny","input":["a"]}"#),
        ("/v1/responses", r#"{"model":"tiny","input":"a"}"#),
        ("/v1/messages", r#"{"model":"tiny","max_tokens":3,"messages":[]}"#),
        ("/v1/rerank", r#"{"model":"tiny","query":"a","documents":["b"]}"#),
        (
            "/v1/audio/transcriptions",
            "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n--x--\r\n",
        ),
    ] {
        let answer = counted.send(path, "", body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{path} {body}");
        assert_eq!(upstream.requests().pop().unwrap().body, body.as_bytes());
        counted
            .count(Exchange::answered(body.as_bytes(), &answer))
            .await
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"));
    }
}

/// Row 11: a duration and a size under an empty name.
#[tokio::test]
async fn a_list_of_models_is_no_inference() {
    let (_sim, counted) = simulated().await;
    client::get(counted.listener(), "/v1/models").await.unwrap();
    counted.nothing().await.unwrap();
}

/// Row 12: it panicked, and all its counters began again.
#[tokio::test]
async fn usage_without_an_output_and_in_another_apis_words_is_what_it_says() {
    const INPUT: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":5,"total_tokens":13}}"#;
    const MESSAGE: &str = r#"{"type":"message","model":"tiny","content":[],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":8}}"#;
    let input_stream = format!("data: {INPUT}\n\n{DONE}");
    let message_stream = [
        r#"{"type":"message_start","message":{"model":"tiny","usage":{"input_tokens":5,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":8}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(|event| format!("data: {event}\n\n"))
    .concat();
    let started = &message_stream[..message_stream.find("data: {\"type\":\"message_delta\"").unwrap()];
    let (json, sse) = ("application/json", "text/event-stream");
    let rows = [
        (CHAT, json, INPUT, None),
        (CHAT, sse, &input_stream, None),
        (COMPLETIONS, json, INPUT, None),
        ("/v1/messages", json, MESSAGE, Some(8)),
        ("/v1/messages", sse, &message_stream, Some(8)),
        // Broken off, so that nothing told the output.
        ("/v1/messages", sse, started, None),
    ];
    let answers = rows.map(|(_, content_type, body, _)| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
    });
    let upstream = Upstream::answering(move |mut wire: Wire, _, before| {
        let answer = answers[before].clone();
        async move { wire.send(answer).await.map(|()| Some(wire)) }
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    for (path, content_type, body, output) in rows {
        let answer = counted.send(path, "", STREAM).await.unwrap();
        let mut exchange = Exchange {
            input: Some(5),
            output,
            ..Exchange::answered(STREAM, &answer)
        };
        if body == started {
            exchange = exchange.failed("Truncated");
        }
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{path} {content_type}: {error}"));
    }
}

/// Row 13: the sizes of documents written anew, which is also what both sides got.
#[tokio::test]
async fn documents_pass_as_they_are_and_are_as_large_as_on_the_wire() {
    // Keys that are not sorted, characters that an encoder would escape, numbers that it would round, a key twice.
    let asked = r#"{ "z":1, "model":"tiny", "messages":[{"role":"user","content":"<a>&\u00e9é/\/"}], "seed":123456789012345678901234567890, "a":1.0, "a":1e2 }"#;
    let answered = r#"{ "usage" : {"completion_tokens":8,"prompt_tokens":5}, "model":"tiny", "id":12345678901234567891, "choices":[{"message":{"content":"<b>&\u2028"}}], "x":1.10 }"#;
    let upstream = Upstream::saying(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answered}",
        answered.len()
    ))
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    let answer = counted.send(CHAT, "", asked.as_bytes()).await.unwrap();
    assert_eq!(answer.body, answered.as_bytes());
    assert_eq!(upstream.requests().pop().unwrap().body, asked.as_bytes());
    counted
        .count(Exchange::answered(asked.as_bytes(), &answer).tokens(5, 8))
        .await
        .unwrap();
}

/// Row 14: it never appeared.
#[tokio::test]
async fn every_good_request_with_output_has_one_normalized_time_and_no_other_has() {
    let (_sim, mut counted) = simulated().await;
    // The tally holds one for each exchange that has output tokens, did not fail and was not left.
    let json = format!(r#"{{"model":"tiny",{MESSAGES},"max_tokens":8}}"#);
    for (body, behaviour) in [
        (STREAM, ""),
        (json.as_bytes(), ""),
        (STREAM, "done=no"),
        (json.as_bytes(), "chunk=3"),
    ] {
        let answer = counted.send(CHAT, behaviour, body).await.unwrap();
        counted.count(Exchange::told(body, &answer)).await.unwrap();
    }
    let answer = counted.send(CHAT, "completion=0", json.as_bytes()).await.unwrap();
    let exchange = Exchange::told(json.as_bytes(), &answer);
    assert_eq!(exchange.output, Some(0));
    counted.count(exchange).await.unwrap();
    let failed = counted.send(CHAT, "cut=event:10", STREAM).await.unwrap();
    let exchange = Exchange::told(STREAM, &failed).failed("UpstreamReset");
    counted.count(exchange).await.unwrap();
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    wire.send(keep_alive("hang=event:10", STREAM)).await.unwrap();
    wire.see("\"system_fingerprint\"").await.unwrap();
    wire.see("51a0c0de\"}\n\n").await.unwrap();
    wire.leave(Leaving::Close);
    let left = Exchange {
        answer_bytes: None,
        ..Exchange::left(STREAM.len(), 0)
    };
    counted.count(left.tokens(5, 8)).await.unwrap();
}
