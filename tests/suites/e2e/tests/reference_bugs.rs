//! The bugs of the guide's reference implementation on real traffic, as they were measured: each is a test, with its row in
//! that measurement and what the reference recorded.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::sync::Arc;

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy};
use infertally_harness::client;
use infertally_harness::connection::{Connection, Disconnect};
use infertally_harness::message::Kind;
use infertally_harness::upstream::Upstream;
use infertally_oracle::Measured;
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

async fn simulated() -> (Sim, CheckedEnvoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = CheckedEnvoy::start(sim.addr(), Ok).await.unwrap();
    (sim, envoy)
}

fn keep_alive(x_sim: &str, body: &[u8]) -> Vec<u8> {
    let request = client::request("POST", CHAT, &[("x-sim", x_sim)], body);
    String::from_utf8(request)
        .unwrap()
        .replace("connection: close\r\n", "")
        .into_bytes()
}

/// Row 1: the tokens of 76 to 82 of 100 streams, depending on timing.
#[tokio::test]
async fn usage_and_end_marker_in_separate_writes_are_always_read() {
    let (_sim, mut envoy) = simulated().await;
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    for _ in 0..100 {
        connection.send(keep_alive("", STREAM)).await.unwrap();
        let response = connection.read_message(Kind::Response).await.unwrap();
        let exchange = Measured::simulated(STREAM, &response.into());
        assert_eq!((exchange.input_tokens, exchange.output_tokens), (Some(5), Some(8)));
        envoy.add(exchange);
    }
    envoy.check().await.unwrap();
}

/// Row 2: no tokens.
#[tokio::test]
async fn a_stream_is_read_wherever_its_chunks_are_cut() {
    let pieces: [Vec<&str>; 5] = [
        vec![TEXT, USAGE, DONE],
        vec![TEXT, &USAGE[..40], &USAGE[40..], DONE],
        vec![TEXT, USAGE, &DONE[..9], &DONE[9..]],
        vec![TEXT, &USAGE[..USAGE.len() - 1], "\n", "d", "ata: [DONE]\n\n"],
        vec![&TEXT[..3], &TEXT[3..], USAGE, DONE],
    ];
    // A piece is sent once the client has the one before, so that Envoy receives each alone.
    let gate = Arc::new(Semaphore::new(0));
    let (opened, sent) = (Arc::clone(&gate), pieces.clone());
    let upstream = Upstream::responding(move |mut connection: Connection, _, before| {
        let (gate, pieces) = (Arc::clone(&opened), sent[before].clone());
        async move {
            connection
                .send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            for piece in pieces {
                gate.acquire().await?.forget();
                connection.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await?;
            }
            gate.acquire().await?.forget();
            connection.send("0\r\n\r\n").await.map(|()| Some(connection))
        }
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    for pieces in pieces {
        connection.send(keep_alive("", STREAM)).await.unwrap();
        connection.wait_for("\r\n\r\n").await.unwrap();
        for piece in &pieces {
            gate.add_permits(1);
            connection
                .wait_for(format!("{:x}\r\n{piece}\r\n", piece.len()))
                .await
                .unwrap();
        }
        gate.add_permits(1);
        let response = connection.read_message(Kind::Response).await.unwrap().into();
        envoy
            .check_after(Measured::response(STREAM, &response).tokens(5, 8))
            .await
            .unwrap_or_else(|error| panic!("{pieces:?}: {error}"));
    }
}

/// Row 2, with a pause: no tokens.
#[tokio::test]
async fn a_pause_between_events_changes_no_number() {
    let (_sim, mut envoy) = simulated().await;
    let response = envoy.send(CHAT, "gap=10ms", STREAM).await.unwrap();
    envoy.check_after(Measured::simulated(STREAM, &response)).await.unwrap();
}

/// Row 3: nothing, silently.
#[tokio::test]
async fn a_stream_without_usage_counts_without_tokens() {
    let (_sim, mut envoy) = simulated().await;
    let body = format!(r#"{{"model":"tiny",{MESSAGES},"max_tokens":8,"stream":true}}"#);
    let response = envoy.send(CHAT, "", body.as_bytes()).await.unwrap();
    envoy
        .check_after(Measured::response(body.as_bytes(), &response))
        .await
        .unwrap();
}

/// Row 4: a size of 0.
#[tokio::test]
async fn a_stream_has_the_size_of_its_bytes() {
    let (_sim, mut envoy) = simulated().await;
    for tokens in [1, 8, 40] {
        let response = envoy.send(CHAT, &format!("completion={tokens}"), STREAM).await.unwrap();
        assert!(response.body.len() > 200 * tokens);
        envoy.check_after(Measured::simulated(STREAM, &response)).await.unwrap();
    }
}

/// Row 5: no tokens.
#[tokio::test]
async fn data_fields_need_no_space() {
    let (_sim, mut envoy) = simulated().await;
    let response = envoy.send(CHAT, "space=no", STREAM).await.unwrap();
    assert!(response.body.starts_with(b"data:{"));
    envoy.check_after(Measured::simulated(STREAM, &response)).await.unwrap();
}

/// Row 6: no tokens, and for JSON neither duration nor size.
#[tokio::test]
async fn a_response_in_gzip_counts_like_any_other() {
    let (_sim, mut envoy) = simulated().await;
    let json = format!(r#"{{"model":"tiny",{MESSAGES},"max_tokens":8}}"#);
    for body in [json.as_bytes(), STREAM] {
        let response = envoy.send(CHAT, "encoding=gzip", body).await.unwrap();
        assert_eq!(response.header("content-encoding"), Some("gzip"));
        assert!(response.body.starts_with(b"\x1f\x8b"));
        envoy
            .check_after(Measured::response(body, &response).tokens(5, 8))
            .await
            .unwrap();
    }
}

/// Row 7: no error; a 404 was a success.
#[tokio::test]
async fn an_error_status_is_an_error_with_and_without_a_body() {
    let (_sim, mut envoy) = simulated().await;
    for (status, code) in [
        (404, "NotFound"),
        (500, "ModelServerError"),
        (503, "ServiceUnavailable"),
    ] {
        for body in ["", ";body=none"] {
            let response = envoy
                .send(CHAT, &format!("status={status}{body}"), STREAM)
                .await
                .unwrap();
            envoy
                .check_after(Measured::response(STREAM, &response).failed(code))
                .await
                .unwrap();
        }
    }
}

/// Row 8: a success.
#[tokio::test]
async fn an_error_event_before_the_end_marker_is_an_error() {
    let (_sim, mut envoy) = simulated().await;
    let response = envoy.send(CHAT, "error=event:3", STREAM).await.unwrap();
    assert!(response.status == 200 && response.body.ends_with(b"data: [DONE]\n\n"));
    envoy
        .check_after(Measured::response(STREAM, &response).failed("StreamError"))
        .await
        .unwrap();
}

/// Row 9: the request and nothing else.
#[tokio::test]
async fn an_incomplete_stream_counts_as_far_as_it_was_received() {
    let (_sim, mut envoy) = simulated().await;
    let continuous = String::from_utf8_lossy(STREAM).replace(
        "{\"include_usage\":true}",
        "{\"include_usage\":true,\"continuous_usage_stats\":true}",
    );
    // The event of the role, and three tokens.
    let cut = envoy.send(CHAT, "cut=event:4", continuous.as_bytes()).await.unwrap();
    let exchange = Measured::response(continuous.as_bytes(), &cut).tokens(5, 3);
    envoy.check_after(exchange.failed("UpstreamReset")).await.unwrap();

    let request = client::request("POST", CHAT, &[("x-sim", "hang=event:4")], continuous.as_bytes());
    let response = client::disconnect_after_events(envoy.listener(), &request, 4)
        .await
        .unwrap();
    let exchange = Measured::cancelled(continuous.len(), response.body.len()).tokens(5, 3);
    envoy.check_after(exchange).await.unwrap();
}

/// Row 10: a 400 to the client, and an error without its request.
#[tokio::test]
async fn a_request_that_the_filter_cannot_read_passes_unchanged_and_counts() {
    let upstream = Upstream::responding(|mut connection: Connection, _, _| async move {
        connection
            .send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            .await?;
        Ok(Some(connection))
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
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
        let response = envoy.send(path, "", body.as_bytes()).await.unwrap();
        assert_eq!(response.status, 200, "{path} {body}");
        assert_eq!(upstream.requests().pop().unwrap().body, body.as_bytes());
        envoy
            .check_after(Measured::response(body.as_bytes(), &response))
            .await
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"));
    }
}

/// Row 11: a duration and a size with an empty model name.
#[tokio::test]
async fn a_list_of_models_is_not_measured() {
    let (_sim, envoy) = simulated().await;
    client::get(envoy.listener(), "/v1/models").await.unwrap();
    envoy.check_no_series().await.unwrap();
}

/// Row 12: a panic, and all counters reset.
#[tokio::test]
async fn usage_without_output_and_of_other_apis_is_read() {
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
        // Truncated, so that the output is not reported.
        ("/v1/messages", sse, started, None),
    ];
    let responses = rows.map(|(_, content_type, body, _)| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
    });
    let upstream = Upstream::responding(move |mut connection: Connection, _, before| {
        let response = responses[before].clone();
        async move { connection.send(response).await.map(|()| Some(connection)) }
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    for (path, content_type, body, output) in rows {
        let response = envoy.send(path, "", STREAM).await.unwrap();
        let mut exchange = Measured {
            input_tokens: Some(5),
            output_tokens: output,
            ..Measured::response(STREAM, &response)
        };
        if body == started {
            exchange = exchange.failed("Truncated");
        }
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{path} {content_type}: {error}"));
    }
}

/// Row 13: the sizes of documents that it had encoded again, and passed on so.
#[tokio::test]
async fn documents_pass_unchanged_and_have_the_size_of_their_bytes() {
    // Unsorted keys, characters that an encoder escapes, numbers that it rounds, a duplicate key.
    let request = r#"{ "z":1, "model":"tiny", "messages":[{"role":"user","content":"<a>&\u00e9é/\/"}], "seed":123456789012345678901234567890, "a":1.0, "a":1e2 }"#;
    let document = r#"{ "usage" : {"completion_tokens":8,"prompt_tokens":5}, "model":"tiny", "id":12345678901234567891, "choices":[{"message":{"content":"<b>&\u2028"}}], "x":1.10 }"#;
    let upstream = Upstream::replying(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{document}",
        document.len()
    ))
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    let response = envoy.send(CHAT, "", request.as_bytes()).await.unwrap();
    assert_eq!(response.body, document.as_bytes());
    assert_eq!(upstream.requests().pop().unwrap().body, request.as_bytes());
    envoy
        .check_after(Measured::response(request.as_bytes(), &response).tokens(5, 8))
        .await
        .unwrap();
}

/// Row 14: the metric was never there.
#[tokio::test]
async fn every_success_with_output_has_a_normalized_time_and_no_other_exchange_has() {
    let (_sim, mut envoy) = simulated().await;
    // The totals have one for each success with output tokens.
    let json = format!(r#"{{"model":"tiny",{MESSAGES},"max_tokens":8}}"#);
    for (body, behaviour) in [
        (STREAM, ""),
        (json.as_bytes(), ""),
        (STREAM, "done=no"),
        (json.as_bytes(), "chunk=3"),
    ] {
        let response = envoy.send(CHAT, behaviour, body).await.unwrap();
        envoy.check_after(Measured::simulated(body, &response)).await.unwrap();
    }
    let response = envoy.send(CHAT, "completion=0", json.as_bytes()).await.unwrap();
    let exchange = Measured::simulated(json.as_bytes(), &response);
    assert_eq!(exchange.output_tokens, Some(0));
    envoy.check_after(exchange).await.unwrap();
    let failed = envoy.send(CHAT, "cut=event:10", STREAM).await.unwrap();
    let exchange = Measured::simulated(STREAM, &failed).failed("UpstreamReset");
    envoy.check_after(exchange).await.unwrap();
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    connection.send(keep_alive("hang=event:3", STREAM)).await.unwrap();
    connection.wait_for("\n\n").await.unwrap();
    connection.disconnect(Disconnect::Close);
    let cancelled = Measured {
        response_bytes: None,
        ..Measured::cancelled(STREAM.len(), 0)
    };
    envoy.check_after(cancelled).await.unwrap();
}
