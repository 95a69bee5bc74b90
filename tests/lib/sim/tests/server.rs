//! What a `Sim` sends, reports and counts, over HTTP/1.1 and HTTP/2.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use infertally_sim::{Sim, SimConfig};
use serde_json::Value;
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const RUNNING: &str = "vllm:num_requests_running";
const WAITING: &str = "vllm:num_requests_waiting";

#[tokio::test]
async fn the_headers_report_what_the_body_holds() {
    let sim = sim().await;
    let body =
        r#"{"model": "lora-a", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 5, "n": 3}"#;
    let response = post(&sim, "/v1/chat/completions?debug=1", "", body).await;
    let json = response.json();
    assert_eq!(response.header("x-sim-model").as_deref(), Some("lora-a"));
    assert_eq!(response.header("x-sim-prompt-tokens").as_deref(), Some("3"));
    assert_eq!(response.header("x-sim-completion-tokens").as_deref(), Some("15"));
    assert_eq!(json["model"], "lora-a");
    assert_eq!(json["usage"]["prompt_tokens"], 3);
    assert_eq!(json["usage"]["completion_tokens"], 15);
    assert_eq!(json["usage"]["total_tokens"], 18);
    assert_eq!(json["choices"].as_array().unwrap().len(), 3);
    assert_eq!(json["choices"][2]["finish_reason"], "length");
}

#[tokio::test]
async fn a_stream_reports_the_same_as_a_json_response() {
    let sim = sim().await;
    let json = post(&sim, CHAT, "", CHAT_BODY).await;
    let stream = post(&sim, CHAT, "", STREAM_BODY).await;
    for header in ["x-sim-model", "x-sim-prompt-tokens", "x-sim-completion-tokens"] {
        assert_eq!(stream.header(header), json.header(header), "{header}");
        assert!(json.header(header).is_some(), "{header}");
    }
    assert_eq!(
        stream.content(0),
        json.json()["choices"][0]["message"]["content"].as_str().unwrap()
    );
    let events = stream.events();
    // A role, four tokens and the usage, and then [DONE], each in an HTTP chunk of its own.
    assert_eq!((events.len(), stream.chunks.len()), (6, 7));
    assert_eq!(stream.data().last().unwrap(), "[DONE]");
    assert_eq!(
        events[5]["usage"],
        serde_json::json!({"prompt_tokens": 3, "total_tokens": 7, "completion_tokens": 4})
    );
    assert_eq!(events[5]["choices"], serde_json::json!([]));
    assert!(events[..5].iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn without_a_limit_there_are_sixteen_tokens_and_finish_reason_stop() {
    let sim = sim().await;
    let response = post(&sim, COMPLETIONS, "", r#"{"prompt": "a"}"#).await.json();
    assert_eq!(response["usage"]["completion_tokens"], 16);
    assert_eq!(response["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn connections_are_kept_alive() {
    let sim = sim().await;
    let first = request(CHAT, &[], STREAM_BODY.as_bytes());
    let second = request(COMPLETIONS, &[("connection", "close")], br#"{"prompt": "a"}"#);
    let raw = String::from_utf8(drain(send(sim.addr(), &[first, second].concat()).await).await).unwrap();
    assert_eq!(raw.matches("HTTP/1.1 200 OK").count(), 2);
    assert!(raw.contains("text_completion"));
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_served() {
    let sim = sim().await;
    let stream = TcpStream::connect(sim.addr()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let request = |x_sim: &str| {
        let uri = format!("http://{}{CHAT}", sim.addr());
        let request = Request::post(uri)
            .header("content-type", "application/json")
            .header("x-sim", x_sim);
        request
            .body(Full::new(Bytes::from_static(STREAM_BODY.as_bytes())))
            .unwrap()
    };
    let response = sender.send_request(request("")).await.unwrap();
    assert_eq!(response.headers()["x-sim-completion-tokens"], "4");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    assert!(sender.send_request(request("cut=headers")).await.is_err());
    let cut = sender.send_request(request("cut=event:2")).await.unwrap().into_body();
    assert!(cut.collect().await.is_err());
    // The resets closed those streams only, not the connection.
    assert!(sender.send_request(request("")).await.is_ok());
    drop(sender);
    driver.abort();
}

#[tokio::test]
async fn running_counts_requests_until_the_client_disconnects() {
    let sim = sim().await;
    assert_eq!(metric(&sim, RUNNING).await, 0.0);
    let mut hanging = Vec::new();
    for x_sim in ["hang=headers", "hang=event:2", "hang=event:0"] {
        hanging.push(send(sim.addr(), &request(CHAT, &[("x-sim", x_sim)], STREAM_BODY.as_bytes())).await);
    }
    until_metric(&sim, RUNNING, 3.0).await;
    assert!(metric(&sim, "vllm:kv_cache_usage_perc").await > 0.0);
    for left in [2.0, 1.0, 0.0] {
        hanging.pop();
        until_metric(&sim, RUNNING, left).await;
    }
    assert_eq!(metric(&sim, "vllm:kv_cache_usage_perc").await, 0.0);
    assert_eq!(
        metric(&sim, r#"vllm:request_success_total{engine="0",finished_reason="abort""#).await,
        3.0
    );
}

#[tokio::test]
async fn a_complete_response_is_no_longer_running_and_its_tokens_count() {
    let sim = sim().await;
    for body in [CHAT_BODY, STREAM_BODY] {
        assert!(post(&sim, CHAT, "", body).await.complete);
        assert_eq!(metric(&sim, RUNNING).await, 0.0);
    }
    assert_eq!(metric(&sim, "vllm:prompt_tokens_total").await, 6.0);
    assert_eq!(metric(&sim, "vllm:generation_tokens_total").await, 8.0);
    assert_eq!(
        metric(
            &sim,
            r#"vllm:request_success_total{engine="0",finished_reason="length""#
        )
        .await,
        2.0
    );
}

#[tokio::test]
async fn requests_over_the_limit_wait_and_count_by_adapter() {
    let config = SimConfig {
        max_running: Some(1),
        adapters: vec!["lora-a".to_owned()],
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    let body = br#"{"model": "lora-a", "prompt": "a"}"#;
    let first = send(sim.addr(), &request(COMPLETIONS, &[("x-sim", "hang=headers")], body)).await;
    until_metric(&sim, RUNNING, 1.0).await;
    let second = send(sim.addr(), &request(COMPLETIONS, &[("connection", "close")], body)).await;
    until_metric(&sim, WAITING, 1.0).await;
    let text = get(sim.addr(), "/metrics").await.text();
    assert!(
        text.contains(r#"running_lora_adapters="lora-a",waiting_lora_adapters="lora-a"} 1."#),
        "{text}"
    );
    // A client that disconnects is removed from the queue.
    let third = send(sim.addr(), &request(COMPLETIONS, &[], body)).await;
    until_metric(&sim, WAITING, 2.0).await;
    drop(third);
    until_metric(&sim, WAITING, 1.0).await;
    drop(first);
    assert_eq!(Response::parse(drain(second).await).status, 200);
    assert_eq!(metric(&sim, WAITING).await, 0.0);
}

#[tokio::test]
async fn metrics_have_vllms_names_and_labels() {
    let sim = sim().await;
    let response = get(sim.addr(), "/metrics").await;
    assert_eq!(
        response.header("content-type").as_deref(),
        Some("text/plain; version=1.0.0; charset=utf-8")
    );
    let text = response.text();
    for series in [RUNNING, WAITING, "vllm:kv_cache_usage_perc", "vllm:prompt_tokens_total"] {
        assert!(
            text.contains(&format!(r#"{series}{{engine="0",model_name="tiny"}} 0.0"#)),
            "{series} in {text}"
        );
    }
    assert!(
        text.contains(r#"vllm:lora_requests_info{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""} 1."#)
    );
    assert!(metric(&sim, "vllm:lora_requests_info").await > 1.7e9);
}

#[tokio::test]
async fn a_header_overrides_the_behaviour_of_the_path() {
    let sim = sim().await;
    sim.set_behaviour("/health", "status=503;body=none").unwrap();
    let response = get(sim.addr(), "/health").await;
    assert_eq!((response.status, response.body.len()), (503, 0));
    assert_eq!(get(sim.addr(), "/v1/models").await.status, 200);
    sim.set_behaviour("/health", "").unwrap();
    assert_eq!(get(sim.addr(), "/health").await.status, 200);
    sim.set_behaviour(CHAT, "model=other").unwrap();
    assert_eq!(post(&sim, CHAT, "", CHAT_BODY).await.json()["model"], "other");
    assert_eq!(post(&sim, CHAT, "prompt=9", CHAT_BODY).await.json()["model"], "tiny");
    assert!(sim.set_behaviour("/health", "status=9").is_err());
}

#[tokio::test]
async fn a_request_body_may_be_utf_16() {
    let sim = sim().await;
    let body: Vec<u8> = r#"{"prompt": "á b"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let request = request(COMPLETIONS, &[("connection", "close")], &body);
    let response = Response::parse(drain(send(sim.addr(), &request).await).await);
    assert_eq!(response.json()["usage"]["prompt_tokens"], Value::from(2));
}

#[tokio::test]
async fn shutdown_and_drop_close_the_socket_and_its_connections() {
    for is_dropped in [false, true] {
        let sim = sim().await;
        let addr = sim.addr();
        let mut stream = send(
            addr,
            &request(CHAT, &[("x-sim", "hang=event:1")], STREAM_BODY.as_bytes()),
        )
        .await;
        read_until(&mut stream, "data: ").await;
        if is_dropped {
            drop(sim);
        } else {
            sim.shutdown().await;
            assert!(TcpStream::connect(addr).await.is_err());
        }
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut rest)).await.unwrap();
    }
}
