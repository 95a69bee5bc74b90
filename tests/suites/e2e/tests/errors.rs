//! Every error code of the contract, made by the model server: bad statuses, broken connections, error events inside a
//! good answer, streams without an end. One code a failed exchange, never two, and none where nothing failed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM};
use infertally_harness::envoy::loopback;
use infertally_harness::message::Kind;
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::Wire;
use infertally_harness::{Result, client};
use infertally_sim::{Sim, SimConfig};

async fn simulated() -> (Sim, Counted) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let counted = Counted::start(sim.addr(), Ok).await.unwrap();
    (sim, counted)
}

/// One exchange whose answer is these bytes and then the connection's end.
async fn answered(counted: &mut Counted, error: Option<&'static str>, tokens: Option<(u64, u64)>) -> Result<()> {
    let request = client::request("POST", COMPLETIONS, &[], STREAM);
    let answer = client::exchange(counted.listener(), &request, usize::MAX).await?.answer;
    let exchange = Exchange {
        error,
        input: tokens.map(|(input, _)| input),
        output: tokens.map(|(_, output)| output),
        ..Exchange::answered(STREAM, &answer)
    };
    counted.count(exchange).await
}

fn stream(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{events}",
        events.len()
    )
}

#[tokio::test]
async fn every_bad_status_of_the_server_has_its_code() {
    let (_sim, mut counted) = simulated().await;
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
            let answer = counted.send(COMPLETIONS, &behaviour, body).await.unwrap();
            assert_eq!(answer.status, status);
            let exchange = Exchange::answered(body, &answer).failed(code);
            counted
                .count(exchange)
                .await
                .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
        }
    }
}

#[tokio::test]
async fn what_the_server_refuses_by_itself_counts_the_same() {
    let (_sim, mut counted) = simulated().await;
    for (path, body, status, code) in [
        (COMPLETIONS, &br#"{"model":"tiny","prompt":"#[..], 400, "BadRequest"),
        (COMPLETIONS, b"", 400, "BadRequest"),
        (COMPLETIONS, br#"{"model":"nobody","prompt":"a"}"#, 404, "NotFound"),
        ("/v1/embeddings", br#"{"model":"tiny","input":"a"}"#, 404, "NotFound"),
    ] {
        let answer = counted.send(path, "", body).await.unwrap();
        assert_eq!(answer.status, status);
        let exchange = Exchange::answered(body, &answer).failed(code);
        counted.count(exchange).await.unwrap();
    }
}

#[tokio::test]
async fn a_good_or_moved_answer_is_no_error() {
    let (_sim, mut counted) = simulated().await;
    for status in [200, 201, 202, 204, 301, 302, 304, 307, 399] {
        let behaviour = format!("status={status};body=none");
        let answer = counted.send(COMPLETIONS, &behaviour, PROMPT).await.unwrap();
        assert_eq!(answer.status, status);
        counted
            .count(Exchange::answered(PROMPT, &answer))
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
}

#[tokio::test]
async fn a_connection_that_the_server_breaks_is_an_upstream_reset_once_the_answer_has_begun() {
    let (_sim, mut counted) = simulated().await;
    // Before it has begun Envoy answers in the server's place.
    let answer = counted.send(COMPLETIONS, "cut=headers", PROMPT).await.unwrap();
    assert_eq!(answer.status, 503);
    let exchange = Exchange::answered(PROMPT, &answer).failed("ServiceUnavailable");
    counted.count(exchange).await.unwrap();

    for (body, behaviour) in [
        (STREAM, "cut=event:0"),
        (STREAM, "cut=event:2"),
        (STREAM, "cut=event:4"),
        (STREAM, "cut=body:100"),
        (PROMPT, "cut=body:0"),
        (PROMPT, "cut=body:20"),
        (PROMPT, "cut=body:300"),
    ] {
        let answer = counted.send(COMPLETIONS, behaviour, body).await.unwrap();
        assert_eq!((answer.status, answer.whole), (200, false), "{behaviour}");
        let exchange = Exchange::answered(body, &answer).failed("UpstreamReset");
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
}

#[tokio::test]
async fn a_stream_that_is_broken_after_its_end_marker_is_whole() {
    let (_sim, mut counted) = simulated().await;
    let answer = counted.send(COMPLETIONS, "cut=event:6", STREAM).await.unwrap();
    assert!(!answer.whole && answer.body.ends_with(b"[DONE]\n\n"));
    counted.count(Exchange::told(STREAM, &answer)).await.unwrap();
}

#[tokio::test]
async fn an_answer_without_a_length_that_stops_inside_its_document_is_an_upstream_reset() {
    let document = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let all = document.len();
    let upstream = Upstream::answering(move |mut wire: Wire, request, _| async move {
        let version = request.header("x-version").unwrap_or_default();
        let kept: usize = request.header("x-kept").unwrap_or_default().parse()?;
        let head = format!("{version} 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
        wire.send(format!("{head}{}", &document[..kept])).await.map(|()| None)
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        for kept in [all, all - 1, 40, 1] {
            let headers = [("x-version", version), ("x-kept", &kept.to_string())];
            let request = client::request("POST", COMPLETIONS, &headers, PROMPT);
            let sent = client::exchange(counted.listener(), &request, usize::MAX).await;
            let answered = Exchange::answered(PROMPT, &sent.unwrap().answer);
            let exchange = if kept == all {
                answered.tokens(3, 4)
            } else {
                answered.failed("UpstreamReset")
            };
            counted
                .count(exchange)
                .await
                .unwrap_or_else(|error| panic!("{kept} bytes over {version}: {error}"));
        }
    }
}

#[tokio::test]
async fn an_error_event_in_any_form_makes_a_good_answer_a_stream_error() {
    let start = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n";
    let events = [
        r#"data: {"error":{"message":"died","type":"InternalServerError","param":null,"code":500}}"#,
        r#"data: {"error":"died"}"#,
        r#"data:{"error":{}}"#,
        r#"data: {"model":"tiny","choices":[],"error":{"message":"died"}}"#,
        r#"data: {"object":"error","message":"died","code":500}"#,
        "event: error\ndata: {\"message\":\"died\"}",
        "event: error\ndata: died",
        "data: {\"error\":\ndata: {\"message\":\"died\"}}",
    ];
    let mut answers = Vec::new();
    for event in events {
        for (before, after) in [
            ("", ""),
            (start, "data: [DONE]\n\n"),
            (start, end),
            ("", "data: [DONE]\n\n"),
        ] {
            answers.push((format!("{before}{event}\n\n{after}"), Some("StreamError")));
        }
    }
    for event in [
        r#"data: {"choices":[],"error":null}"#,
        r#"data: {"choices":[{"text":"{\"error\":1}","error":1}]}"#,
        "event: message\ndata: {\"choices\":[]}",
        ": error",
        r#"error: {"error":1}"#,
        r#"data: error"#,
    ] {
        answers.push((format!("{start}{event}\n\ndata: [DONE]\n\n"), None));
    }
    let says = answers.clone();
    let upstream = Upstream::answering(move |mut wire: Wire, _, before| {
        let (events, _) = says[before].clone();
        async move { wire.send(stream(&events)).await.map(|()| Some(wire)) }
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    for (events, error) in answers {
        answered(&mut counted, error, None)
            .await
            .unwrap_or_else(|error| panic!("{events}: {error}"));
    }
}

#[tokio::test]
async fn an_engine_that_dies_is_one_stream_error_whatever_follows() {
    let (_sim, mut counted) = simulated().await;
    for behaviour in [
        "error=event:0",
        "error=event:2",
        "error=event:2;done=no",
        "error=event:2;chunk=1",
    ] {
        let answer = counted.send(COMPLETIONS, behaviour, STREAM).await.unwrap();
        assert_eq!((answer.status, answer.whole), (200, true), "{behaviour}");
        let exchange = Exchange::answered(STREAM, &answer).failed("StreamError");
        counted.count(exchange).await.unwrap();
    }
    // The connection breaks after the error event: still one code, the earlier.
    let error = "data: {\"error\":{\"message\":\"died\"}}\n\n";
    let upstream = Upstream::answering(move |mut wire: Wire, _, _| async move {
        wire.send(stream(error).replace("content-length: ", "content-length: 9"))
            .await?;
        Ok(None)
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    answered(&mut counted, Some("StreamError"), None).await.unwrap();
}

#[tokio::test]
async fn a_stream_without_an_end_is_truncated_unless_only_its_marker_is_missing() {
    let (_sim, mut counted) = simulated().await;
    for (behaviour, code) in [
        ("end=event:0", Some("Truncated")),
        ("end=event:1", Some("Truncated")),
        ("end=event:3", Some("Truncated")),
        ("end=event:4", None),
    ] {
        let answer = counted.send(COMPLETIONS, behaviour, STREAM).await.unwrap();
        assert!(answer.whole, "{behaviour}");
        let exchange = Exchange {
            error: code,
            ..Exchange::answered(STREAM, &answer)
        };
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
    for behaviour in ["end=event:5", "done=no", "done=no;last-blank=no", "last-blank=no"] {
        let answer = counted.send(COMPLETIONS, behaviour, STREAM).await.unwrap();
        let exchange = Exchange::told(STREAM, &answer);
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour}: {error}"));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    // Port 9 of this host: nobody listens.
    let mut counted = Counted::start(loopback(9), Ok).await.unwrap();
    let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(answer.status, 503);
    let exchange = Exchange::answered(PROMPT, &answer).failed("ServiceUnavailable");
    counted.count(exchange).await.unwrap();
}

#[tokio::test]
async fn what_is_no_http_is_unavailable() {
    let upstream = Upstream::start(|mut wire| async move {
        wire.message(Kind::Request).await?;
        wire.send("SSH-2.0-this is no HTTP\r\n\r\n").await
    })
    .await
    .unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(answer.status, 502);
    let exchange = Exchange::answered(PROMPT, &answer).failed("ServiceUnavailable");
    counted.count(exchange).await.unwrap();
}
