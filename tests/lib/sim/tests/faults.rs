//! The keys of `x-sim` that delay or end a response, and invalid keys, checked on the bytes received.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::*;
use tokio::time::Instant;

const STREAM_WITHOUT_USAGE: &str =
    r#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 4, "stream": true}"#;

#[tokio::test]
async fn status_replies_with_an_error_body() {
    let sim = sim().await;
    for (path, body) in [
        (CHAT, CHAT_BODY),
        (CHAT, STREAM_BODY),
        (COMPLETIONS, "no json"),
        ("/v1/load_lora_adapter", "{}"),
    ] {
        let response = post(&sim, path, "status=503", body).await;
        assert_eq!((response.status, response.complete), (503, true), "{path}");
        assert_eq!(response.json()["error"]["code"], 503);
        assert_eq!(response.json()["error"]["type"], "ServiceUnavailableError");
        assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
        assert!(response.header("x-sim-model").is_none());
    }
}

#[tokio::test]
async fn body_none_replies_without_a_body() {
    let response = post(&sim().await, CHAT, "status=502;body=none", CHAT_BODY).await;
    assert_eq!((response.status, response.body.len()), (502, 0));
    assert_eq!(response.header("content-length").as_deref(), Some("0"));
}

#[tokio::test]
async fn delay_is_before_the_headers() {
    let sim = sim().await;
    for x_sim in ["delay=60ms", "delay=60ms;status=500"] {
        let start = Instant::now();
        let mut stream = send(sim.addr(), &request(CHAT, &[("x-sim", x_sim)], STREAM_BODY.as_bytes())).await;
        read_until(&mut stream, "HTTP/1.1").await;
        assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn gap_is_between_events() {
    let sim = sim().await;
    let start = Instant::now();
    let mut stream = send(
        sim.addr(),
        &request(CHAT, &[("x-sim", "gap=80ms")], STREAM_BODY.as_bytes()),
    )
    .await;
    let seen = read_until(&mut stream, "data: ").await;
    let first = start.elapsed();
    assert_eq!(String::from_utf8_lossy(&seen).matches("data: ").count(), 1);
    read_until(&mut stream, "[DONE]").await;
    // Seven events have six gaps.
    let all = start.elapsed();
    assert!(all >= Duration::from_millis(480), "{all:?}");
    assert!(all - first >= Duration::from_millis(400), "{first:?} {all:?}");
}

#[tokio::test]
async fn cut_headers_closes_the_connection_without_a_response() {
    let sim = sim().await;
    for (path, body) in [
        (CHAT, CHAT_BODY),
        (CHAT, STREAM_BODY),
        ("/v1/unload_lora_adapter", "{}"),
    ] {
        let request = request(path, &[("x-sim", "cut=headers")], body.as_bytes());
        assert!(drain(send(sim.addr(), &request).await).await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn cut_body_aborts_after_n_bytes() {
    let sim = sim().await;
    for (body, cuts) in [(CHAT_BODY, [0, 1, 100]), (STREAM_BODY, [0, 300, 1200])] {
        for cut in cuts {
            let response = post(&sim, CHAT, &format!("cut=body:{cut}"), body).await;
            assert_eq!(
                (response.status, response.body.len(), response.complete),
                (200, cut, false),
                "{}",
                response.head
            );
        }
        let long = post(&sim, CHAT, "cut=body:1000000", body).await;
        assert!(long.complete);
    }
    // The content length is that of the complete response.
    let cut = post(&sim, CHAT, "cut=body:10", CHAT_BODY).await;
    let whole = post(&sim, CHAT, "", CHAT_BODY).await;
    assert_eq!(cut.header("content-length"), whole.header("content-length"));
}

#[tokio::test]
async fn cut_body_waits_for_a_slow_client() {
    let sim = sim().await;
    // hyper polls the body, and so meets its abort, once less than about 400 kB wait to be written. The size of the
    // socket's buffers is unknown; with one of these sizes, bytes are left when hyper polls.
    let mut streams = Vec::new();
    for size in (1..=20).map(|step| step * 350_000) {
        let x_sim = format!("completion=1;token-bytes={size};cut=body:{size};chunk=all");
        let request = request(
            CHAT,
            &[("x-sim", &x_sim), ("connection", "close")],
            STREAM_BODY.as_bytes(),
        );
        let mut stream = send(sim.addr(), &request).await;
        let start = read_until(&mut stream, "\r\n\r\n").await;
        streams.push((size, start, stream));
    }
    // Takes longer than the fixed wait before an abort.
    assert!(post(&sim, CHAT, "delay=60ms", CHAT_BODY).await.complete);
    for (size, start, stream) in streams {
        let response = Response::parse([start, drain(stream).await].concat());
        assert_eq!((response.body.len(), response.complete), (size, false));
    }
}

#[tokio::test]
async fn cut_event_aborts_after_n_events() {
    let sim = sim().await;
    for cut in [0, 1, 3, 7] {
        let response = post(&sim, CHAT, &format!("cut=event:{cut}"), STREAM_BODY).await;
        assert_eq!((response.data().len(), response.complete), (cut, false), "{cut}");
        assert!(cut == 0 || response.body.ends_with(b"\n\n"));
    }
    // `[DONE]` is the seventh; there is no eighth.
    assert!(post(&sim, CHAT, "cut=event:8", STREAM_BODY).await.complete);
}

#[tokio::test]
async fn hang_headers_sends_nothing_until_the_client_disconnects() {
    let sim = sim().await;
    let request = request(CHAT, &[("x-sim", "hang=headers")], CHAT_BODY.as_bytes());
    let stream = send(sim.addr(), &request).await;
    until_metric(&sim, "vllm:num_requests_running", 1.0).await;
    assert_eq!(
        stream.try_read(&mut [0; 16]).unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
    drop(stream);
    until_metric(&sim, "vllm:num_requests_running", 0.0).await;
}

#[tokio::test]
async fn hang_event_sends_n_events_and_no_more() {
    let sim = sim().await;
    let request = request(CHAT, &[("x-sim", "hang=event:2")], STREAM_BODY.as_bytes());
    let mut stream = send(sim.addr(), &request).await;
    let seen = read_until(&mut stream, "the").await;
    assert_eq!(String::from_utf8_lossy(&seen).matches("data: ").count(), 2);
    // Nothing more has arrived after a complete exchange on another connection.
    assert!(post(&sim, CHAT, "", STREAM_BODY).await.complete);
    let mut rest = vec![0; 4096];
    let more = stream.try_read(&mut rest).unwrap_or(0);
    assert!(!String::from_utf8_lossy(&rest[..more]).contains("data:"));
    drop(stream);
    until_metric(&sim, "vllm:num_requests_running", 0.0).await;
}

#[tokio::test]
async fn error_event_sends_n_events_an_error_and_done() {
    let sim = sim().await;
    let response = post(&sim, CHAT, "error=event:2", STREAM_BODY).await;
    let data = response.data();
    assert_eq!((response.status, response.complete, data.len()), (200, true, 4));
    assert!(data[1].contains("chat.completion.chunk"));
    let error: Value = serde_json::from_str(&data[2]).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["type"]),
        (&json!(500), &json!("InternalServerError"))
    );
    assert_eq!(data[3], "[DONE]");
    assert_eq!(
        post(&sim, CHAT, "error=event:0;done=no", STREAM_BODY)
            .await
            .data()
            .len(),
        1
    );
}

#[tokio::test]
async fn end_event_completes_the_body_after_n_events() {
    let sim = sim().await;
    let response = post(&sim, CHAT, "end=event:3", STREAM_BODY).await;
    assert_eq!((response.data().len(), response.complete), (3, true));
    assert!(!response.text().contains("DONE") && !response.text().contains(r#""finish_reason":""#));
}

#[tokio::test]
async fn invalid_headers_are_rejected_with_400() {
    let sim = sim().await;
    for (x_sim, body, expected) in [
        ("sleep=1ms", CHAT_BODY, "unknown key `sleep`"),
        ("chunk=0;delay=5", CHAT_BODY, "invalid value `5` of key `delay`"),
        ("cut=headers;end=event:1", STREAM_BODY, "exclude each other"),
        ("cut=event:1", CHAT_BODY, "key `cut=event` requires a streamed response"),
        ("comments=yes", CHAT_BODY, "key `comments` requires a streamed response"),
        (
            "usage=early",
            CHAT_BODY,
            "key `usage=early` requires a streamed response",
        ),
        (
            "usage=null",
            STREAM_WITHOUT_USAGE,
            "requires stream_options.include_usage",
        ),
        ("completion=1000000;token-bytes=1000000", STREAM_BODY, "over the limit"),
    ] {
        let response = post(&sim, CHAT, x_sim, body).await;
        assert_eq!(
            (response.status, &response.json()["error"]["param"]),
            (400, &json!("x-sim")),
            "{x_sim}"
        );
        let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expected), "{message}");
    }
}
