//! Every error code that a model server can cause: error statuses, connection resets, error events in a 2xx stream,
//! truncated streams. A failed exchange has exactly one code, a successful one none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, STREAM};
use infertally_harness::connection::Connection;
use infertally_harness::envoy::loopback;
use infertally_harness::message::Kind;
use infertally_harness::upstream::Upstream;
use infertally_harness::{Result, client};
use infertally_oracle::{Measured, Outcome};
use infertally_sim::{Sim, SimConfig};

async fn simulated() -> (Sim, CheckedEnvoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = CheckedEnvoy::start(sim.addr(), Ok).await.unwrap();
    (sim, envoy)
}

/// An exchange with the upstream's next response.
async fn check_next(envoy: &mut CheckedEnvoy, error: Option<&'static str>, tokens: Option<(u64, u64)>) -> Result<()> {
    let request = client::request("POST", COMPLETIONS, &[], STREAM);
    let response = client::exchange(envoy.listener(), &request, usize::MAX).await?.response;
    let exchange = Measured {
        outcome: error.map_or(Outcome::Success, Outcome::Failed),
        input_tokens: tokens.map(|(input, _)| input),
        output_tokens: tokens.map(|(_, output)| output),
        ..Measured::response(STREAM, &response)
    };
    envoy.check_after(exchange).await
}

fn stream(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{events}",
        events.len()
    )
}

#[tokio::test]
async fn every_error_status_has_its_code() {
    let (_sim, mut envoy) = simulated().await;
    for (status, code) in [
        (400, "BadRequest"),
        (401, "Unauthorized"),
        (402, "BadRequest"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (405, "BadRequest"),
        (408, "Timeout"),
        (409, "BadRequest"),
        (413, "BadRequest"),
        (422, "BadRequest"),
        (429, "ResourceExhausted"),
        (499, "BadRequest"),
        (500, "ModelServerError"),
        (501, "ModelServerError"),
        (502, "ServiceUnavailable"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
        (529, "ModelServerError"),
        (599, "ModelServerError"),
    ] {
        for (body, behaviour) in [
            (PROMPT, format!("status={status}")),
            (STREAM, format!("status={status};body=none")),
        ] {
            let response = envoy.send(COMPLETIONS, &behaviour, body).await.unwrap();
            assert_eq!(response.status, status);
            let exchange = Measured::response(body, &response).failed(code);
            envoy
                .check_after(exchange)
                .await
                .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
        }
    }
}

#[tokio::test]
async fn requests_that_the_server_rejects_count_as_errors() {
    let (_sim, mut envoy) = simulated().await;
    for (path, body, status, code) in [
        (COMPLETIONS, &br#"{"model":"tiny","prompt":"#[..], 400, "BadRequest"),
        (COMPLETIONS, b"", 400, "BadRequest"),
        (COMPLETIONS, br#"{"model":"nobody","prompt":"a"}"#, 404, "NotFound"),
        ("/v1/embeddings", br#"{"model":"tiny","input":"a"}"#, 404, "NotFound"),
    ] {
        let response = envoy.send(path, "", body).await.unwrap();
        assert_eq!(response.status, status);
        let exchange = Measured::response(body, &response).failed(code);
        envoy.check_after(exchange).await.unwrap();
    }
}

#[tokio::test]
async fn a_status_below_400_is_no_error() {
    let (_sim, mut envoy) = simulated().await;
    for status in [200, 201, 202, 204, 301, 302, 304, 307, 399] {
        let behaviour = format!("status={status};body=none");
        let response = envoy.send(COMPLETIONS, &behaviour, PROMPT).await.unwrap();
        assert_eq!(response.status, status);
        envoy
            .check_after(Measured::response(PROMPT, &response))
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
}

#[tokio::test]
async fn a_server_disconnect_is_an_upstream_reset_once_the_response_has_begun() {
    let (_sim, mut envoy) = simulated().await;
    // Before that, Envoy sends a local reply.
    let response = envoy.send(COMPLETIONS, "cut=headers", PROMPT).await.unwrap();
    assert_eq!(response.status, 503);
    let exchange = Measured::response(PROMPT, &response).failed("ServiceUnavailable");
    envoy.check_after(exchange).await.unwrap();

    for (body, behaviour) in [
        (STREAM, "cut=event:0"),
        (STREAM, "cut=event:2"),
        (STREAM, "cut=event:4"),
        (STREAM, "cut=body:100"),
        (PROMPT, "cut=body:0"),
        (PROMPT, "cut=body:20"),
        (PROMPT, "cut=body:300"),
    ] {
        let response = envoy.send(COMPLETIONS, behaviour, body).await.unwrap();
        assert_eq!((response.status, response.complete), (200, false), "{behaviour}");
        let exchange = Measured::response(body, &response).failed("UpstreamReset");
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
}

#[tokio::test]
async fn a_server_disconnect_after_the_end_marker_is_a_success() {
    let (_sim, mut envoy) = simulated().await;
    let response = envoy.send(COMPLETIONS, "cut=event:6", STREAM).await.unwrap();
    assert!(!response.complete && response.body.ends_with(b"[DONE]\n\n"));
    envoy.check_after(Measured::simulated(STREAM, &response)).await.unwrap();
}

#[tokio::test]
async fn an_incomplete_document_without_a_length_is_an_upstream_reset() {
    let document = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let all = document.len();
    let upstream = Upstream::responding(move |mut connection: Connection, request, _| async move {
        let version = request.header("x-version").unwrap_or_default();
        let kept: usize = request.header("x-kept").unwrap_or_default().parse()?;
        let head = format!("{version} 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
        connection
            .send(format!("{head}{}", &document[..kept]))
            .await
            .map(|()| None)
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        for kept in [all, all - 1, 40, 1] {
            let headers = [("x-version", version), ("x-kept", &kept.to_string())];
            let request = client::request("POST", COMPLETIONS, &headers, PROMPT);
            let sent = client::exchange(envoy.listener(), &request, usize::MAX).await;
            let measured = Measured::response(PROMPT, &sent.unwrap().response);
            let exchange = if kept == all {
                measured.tokens(3, 4)
            } else {
                measured.failed("UpstreamReset")
            };
            envoy
                .check_after(exchange)
                .await
                .unwrap_or_else(|error| panic!("{kept} bytes over {version}: {error}"));
        }
    }
}

#[tokio::test]
async fn an_error_event_in_any_form_is_a_stream_error() {
    let start = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n";
    let events = [
        r#"data: {"error":{"message":"died","type":"InternalServerError","param":null,"code":500}}"#,
        r#"data: {"error":"died"}"#,
        r#"data:{"error":{}}"#,
        r#"data: {"model":"tiny","choices":[],"error":{"message":"died"}}"#,
        r#"data: {"object":"error","message":"died","code":500}"#,
        "event: error\ndata: {\"message\":\"died\"}",
        // llama.cpp's form.
        "error: {\"code\":500}",
        "event: error\ndata: died",
        "data: {\"error\":\ndata: {\"message\":\"died\"}}",
    ];
    let mut responses = Vec::new();
    for event in events {
        for (before, after) in [
            ("", ""),
            (start, "data: [DONE]\n\n"),
            (start, end),
            ("", "data: [DONE]\n\n"),
        ] {
            responses.push((format!("{before}{event}\n\n{after}"), Some("StreamError")));
        }
    }
    for event in [
        r#"data: {"choices":[],"error":null}"#,
        r#"data: {"choices":[{"text":"{\"error\":1}","error":1}]}"#,
        "event: message\ndata: {\"choices\":[]}",
        ": error",
        r#"data: error"#,
    ] {
        responses.push((format!("{start}{event}\n\ndata: [DONE]\n\n"), None));
    }
    let sent = responses.clone();
    let upstream = Upstream::responding(move |mut connection: Connection, _, before| {
        let (events, _) = sent[before].clone();
        async move { connection.send(stream(&events)).await.map(|()| Some(connection)) }
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    for (events, error) in responses {
        check_next(&mut envoy, error, None)
            .await
            .unwrap_or_else(|error| panic!("{events}: {error}"));
    }
}

#[tokio::test]
async fn an_error_event_is_one_stream_error_whatever_follows() {
    let (_sim, mut envoy) = simulated().await;
    for behaviour in [
        "error=event:0",
        "error=event:2",
        "error=event:2;done=no",
        "error=event:2;chunk=1",
    ] {
        let response = envoy.send(COMPLETIONS, behaviour, STREAM).await.unwrap();
        assert_eq!((response.status, response.complete), (200, true), "{behaviour}");
        let exchange = Measured::response(STREAM, &response).failed("StreamError");
        envoy.check_after(exchange).await.unwrap();
    }
    // A reset follows: the earlier code counts.
    let error = "data: {\"error\":{\"message\":\"died\"}}\n\n";
    let upstream = Upstream::responding(move |mut connection: Connection, _, _| async move {
        connection
            .send(stream(error).replace("content-length: ", "content-length: 9"))
            .await?;
        Ok(None)
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    check_next(&mut envoy, Some("StreamError"), None).await.unwrap();
}

#[tokio::test]
async fn a_stream_is_truncated_unless_only_its_end_marker_is_missing() {
    let (_sim, mut envoy) = simulated().await;
    for (behaviour, code) in [
        ("end=event:0", Some("Truncated")),
        ("end=event:1", Some("Truncated")),
        ("end=event:3", Some("Truncated")),
        ("end=event:4", None),
    ] {
        let response = envoy.send(COMPLETIONS, behaviour, STREAM).await.unwrap();
        assert!(response.complete, "{behaviour}");
        let exchange = Measured {
            outcome: code.map_or(Outcome::Success, Outcome::Failed),
            ..Measured::response(STREAM, &response)
        };
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
    for behaviour in ["end=event:5", "done=no", "done=no;last-blank=no", "last-blank=no"] {
        let response = envoy.send(COMPLETIONS, behaviour, STREAM).await.unwrap();
        let exchange = Measured::simulated(STREAM, &response);
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_unavailable() {
    // Nothing listens on port 9.
    let mut envoy = CheckedEnvoy::start(loopback(9), Ok).await.unwrap();
    let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(response.status, 503);
    let exchange = Measured::response(PROMPT, &response).failed("ServiceUnavailable");
    envoy.check_after(exchange).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_unavailable() {
    let upstream = Upstream::start(|mut connection| async move {
        connection.read_message(Kind::Request).await?;
        connection.send("SSH-2.0-this is no HTTP\r\n\r\n").await
    })
    .await
    .unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(response.status, 502);
    let exchange = Measured::response(PROMPT, &response).failed("ServiceUnavailable");
    envoy.check_after(exchange).await.unwrap();
}
