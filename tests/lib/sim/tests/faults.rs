//! The keys of `x-sim` that say when an answer comes and how it ends, and what is no such key, seen in the bytes on the
//! wire: a key that did nothing would fail its test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::*;
use tokio::time::Instant;

const QUIET_STREAM: &str = r#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 4, "stream": true}"#;

#[tokio::test]
async fn status_gives_that_status_with_an_error_body() {
    let sim = sim().await;
    for (path, body) in [
        (CHAT, ASK),
        (CHAT, STREAM),
        (COMPLETIONS, "no json"),
        ("/v1/load_lora_adapter", "{}"),
    ] {
        let answer = ask(&sim, path, "status=503", body).await;
        assert_eq!((answer.status, answer.whole), (503, true), "{path}");
        assert_eq!(answer.json()["error"]["code"], 503);
        assert_eq!(answer.json()["error"]["type"], "ServiceUnavailableError");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
        assert!(answer.header("x-sim-model").is_none());
    }
}

#[tokio::test]
async fn body_none_leaves_the_error_without_a_body() {
    let answer = ask(&sim().await, CHAT, "status=502;body=none", ASK).await;
    assert_eq!((answer.status, answer.body.len()), (502, 0));
    assert_eq!(answer.header("content-length").as_deref(), Some("0"));
}

#[tokio::test]
async fn delay_comes_before_the_headers() {
    let sim = sim().await;
    for x_sim in ["delay=60ms", "delay=60ms;status=500"] {
        let start = Instant::now();
        let mut stream = send(sim.addr(), &post(CHAT, &[("x-sim", x_sim)], STREAM.as_bytes())).await;
        read_until(&mut stream, "HTTP/1.1").await;
        assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn gap_comes_between_events_and_not_before_the_first() {
    let sim = sim().await;
    let start = Instant::now();
    let mut stream = send(sim.addr(), &post(CHAT, &[("x-sim", "gap=80ms")], STREAM.as_bytes())).await;
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
async fn cut_headers_closes_the_connection_without_a_byte() {
    let sim = sim().await;
    for (path, body) in [(CHAT, ASK), (CHAT, STREAM), ("/v1/unload_lora_adapter", "{}")] {
        let request = post(path, &[("x-sim", "cut=headers")], body.as_bytes());
        assert!(drain(send(sim.addr(), &request).await).await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn cut_body_sends_so_many_bytes_and_closes() {
    let sim = sim().await;
    for (body, cuts) in [(ASK, [0, 1, 100]), (STREAM, [0, 300, 1200])] {
        for cut in cuts {
            let answer = ask(&sim, CHAT, &format!("cut=body:{cut}"), body).await;
            assert_eq!(
                (answer.status, answer.body.len(), answer.whole),
                (200, cut, false),
                "{}",
                answer.head
            );
        }
        let long = ask(&sim, CHAT, "cut=body:1000000", body).await;
        assert!(long.whole);
    }
    // The length of the answer that was not given stands in the head.
    let cut = ask(&sim, CHAT, "cut=body:10", ASK).await;
    let whole = ask(&sim, CHAT, "", ASK).await;
    assert_eq!(cut.header("content-length"), whole.header("content-length"));
}

#[tokio::test]
async fn cut_body_waits_for_a_client_that_reads_late() {
    let sim = sim().await;
    // hyper asks for more of a body, and so comes to its abort, when less than some 400 kB wait to be written. What the
    // socket's buffers hold is not known, so one of these sizes leaves such a rest.
    let mut streams = Vec::new();
    for size in (1..=20).map(|step| step * 350_000) {
        let x_sim = format!("completion=1;words={size};cut=body:{size};chunk=all");
        let request = post(CHAT, &[("x-sim", &x_sim), ("connection", "close")], STREAM.as_bytes());
        let mut stream = send(sim.addr(), &request).await;
        let start = read_until(&mut stream, "\r\n\r\n").await;
        streams.push((size, start, stream));
    }
    // An exchange that takes longer than what an abort waits for in any case.
    assert!(ask(&sim, CHAT, "delay=60ms", ASK).await.whole);
    for (size, start, stream) in streams {
        let answer = Answer::parse([start, drain(stream).await].concat());
        assert_eq!((answer.body.len(), answer.whole), (size, false));
    }
}

#[tokio::test]
async fn cut_event_sends_so_many_events_and_closes() {
    let sim = sim().await;
    for cut in [0, 1, 3, 7] {
        let answer = ask(&sim, CHAT, &format!("cut=event:{cut}"), STREAM).await;
        assert_eq!((answer.data().len(), answer.whole), (cut, false), "{cut}");
        assert!(cut == 0 || answer.body.ends_with(b"\n\n"));
    }
    // `[DONE]` is the seventh; there is no eighth.
    assert!(ask(&sim, CHAT, "cut=event:8", STREAM).await.whole);
}

#[tokio::test]
async fn hang_headers_answers_nothing_until_the_client_goes_away() {
    let sim = sim().await;
    let request = post(CHAT, &[("x-sim", "hang=headers")], ASK.as_bytes());
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
async fn hang_event_sends_so_many_events_and_no_more() {
    let sim = sim().await;
    let request = post(CHAT, &[("x-sim", "hang=event:2")], STREAM.as_bytes());
    let mut stream = send(sim.addr(), &request).await;
    let seen = read_until(&mut stream, "the").await;
    assert_eq!(String::from_utf8_lossy(&seen).matches("data: ").count(), 2);
    // Another whole exchange later there is still nothing.
    assert!(ask(&sim, CHAT, "", STREAM).await.whole);
    let mut rest = vec![0; 4096];
    let more = stream.try_read(&mut rest).unwrap_or(0);
    assert!(!String::from_utf8_lossy(&rest[..more]).contains("data:"));
    drop(stream);
    until_metric(&sim, "vllm:num_requests_running", 0.0).await;
}

#[tokio::test]
async fn error_event_comes_after_so_many_events_and_done_after_it() {
    let sim = sim().await;
    let answer = ask(&sim, CHAT, "error=event:2", STREAM).await;
    let data = answer.data();
    assert_eq!((answer.status, answer.whole, data.len()), (200, true, 4));
    assert!(data[1].contains("chat.completion.chunk"));
    let error: Value = serde_json::from_str(&data[2]).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["type"]),
        (&json!(500), &json!("InternalServerError"))
    );
    assert_eq!(data[3], "[DONE]");
    assert_eq!(ask(&sim, CHAT, "error=event:0;done=no", STREAM).await.data().len(), 1);
}

#[tokio::test]
async fn end_event_ends_cleanly_after_so_many_events() {
    let sim = sim().await;
    let answer = ask(&sim, CHAT, "end=event:3", STREAM).await;
    assert_eq!((answer.data().len(), answer.whole), (3, true));
    assert!(!answer.text().contains("DONE") && !answer.text().contains(r#""finish_reason":""#));
}

#[tokio::test]
async fn mistakes_are_answered_with_400_and_told() {
    let sim = sim().await;
    for (x_sim, body, told) in [
        ("sleep=1ms", ASK, "key `sleep` is unknown"),
        ("chunk=0;delay=5", ASK, "value `5` of key `delay`"),
        ("cut=headers;end=event:1", STREAM, "both say how the answer ends"),
        ("cut=event:1", ASK, "key `cut=event` needs a streamed answer"),
        ("comments=yes", ASK, "key `comments` needs a streamed answer"),
        ("usage=early", ASK, "key `usage=early` needs a streamed answer"),
        ("usage=null", QUIET_STREAM, "needs stream_options.include_usage"),
        ("completion=1000000;words=1000000", STREAM, "more than"),
    ] {
        let answer = ask(&sim, CHAT, x_sim, body).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!("x-sim")),
            "{x_sim}"
        );
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(told), "{message}");
    }
}
