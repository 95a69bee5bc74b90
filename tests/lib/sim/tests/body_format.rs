//! The keys of `x-sim` that change the bytes of a complete response.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use serde_json::{Value, json};
use support::*;

const STREAM_WITHOUT_USAGE: &str =
    r#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 4, "stream": true}"#;

/// The body of a stream without faults, with the id and time of `like` so that bytes can be compared.
async fn plain_like(sim: &infertally_sim::Sim, body: &str, like: &[u8]) -> Vec<u8> {
    let plain = post(sim, CHAT, "", body).await.text();
    let like = String::from_utf8_lossy(like).into_owned();
    let field = |text: &str, key: &str| {
        let start = text.find(key).unwrap() + key.len();
        let end = text[start..].find(',').unwrap();
        text[start..start + end].to_owned()
    };
    let mut out = plain.clone();
    for key in [r#""id":"#, r#""created":"#] {
        out = out.replace(&field(&plain, key), &field(&like, key));
    }
    out.into_bytes()
}

#[tokio::test]
async fn chunk_cuts_the_body_into_writes_of_that_size() {
    let sim = sim().await;
    for size in [1, 3, 64, 1000] {
        let response = post(&sim, CHAT, &format!("chunk={size}"), STREAM_BODY).await;
        let (last, full) = response.chunks.split_last().unwrap();
        assert!(full.iter().all(|chunk| chunk.len() == size), "{size}");
        assert!(!full.is_empty() && last.len() <= size, "{size}");
        assert_eq!(response.body, plain_like(&sim, STREAM_BODY, &response.body).await);
    }
    let response = post(&sim, CHAT, "chunk=5", CHAT_BODY).await;
    assert!(response.complete);
    assert_eq!(response.json()["usage"]["completion_tokens"], 4);
}

#[tokio::test]
async fn chunk_all_is_one_write() {
    let sim = sim().await;
    let response = post(&sim, CHAT, "chunk=all", STREAM_BODY).await;
    assert_eq!(response.chunks.len(), 1);
    assert_eq!(response.body, plain_like(&sim, STREAM_BODY, &response.body).await);
}

#[tokio::test]
async fn done_no_omits_it() {
    let sim = sim().await;
    let response = post(&sim, CHAT, "done=no", STREAM_BODY).await;
    let complete = plain_like(&sim, STREAM_BODY, &response.body).await;
    assert_eq!(response.body, complete.strip_suffix(b"data: [DONE]\n\n").unwrap());
    assert!(response.complete);
}

#[tokio::test]
async fn eol_space_and_bom_change_only_the_framing() {
    let sim = sim().await;
    for (x_sim, change) in [
        ("eol=crlf", (|text| text.replace('\n', "\r\n")) as fn(String) -> String),
        ("eol=cr", |text| text.replace('\n', "\r")),
        ("eol=lf", |text| text),
        ("space=no", |text| text.replace("data: ", "data:")),
        ("bom=yes", |text| format!("\u{feff}{text}")),
        ("bom=yes;eol=cr;space=no", |text| {
            format!("\u{feff}{}", text.replace('\n', "\r").replace("data: ", "data:"))
        }),
        ("last-blank=no", |text| text.strip_suffix('\n').unwrap().to_owned()),
        ("last-blank=no;eol=crlf", |text| {
            text.replace('\n', "\r\n").strip_suffix("\r\n").unwrap().to_owned()
        }),
    ] {
        let response = post(&sim, CHAT, x_sim, STREAM_BODY).await;
        let plain = String::from_utf8(plain_like(&sim, STREAM_BODY, &response.body).await).unwrap();
        assert_eq!(response.text(), change(plain), "{x_sim}");
    }
    assert!(
        post(&sim, CHAT, "bom=yes", CHAT_BODY)
            .await
            .body
            .starts_with(b"\xef\xbb\xbf{\"id\"")
    );
}

#[tokio::test]
async fn comments_are_between_events() {
    let sim = sim().await;
    let response = post(&sim, CHAT, "comments=yes", STREAM_BODY).await;
    let text = response.text();
    assert_eq!(text.matches(": ping\n\n").count(), 6);
    assert_eq!(
        text.replace(": ping\n\n", "").into_bytes(),
        plain_like(&sim, STREAM_BODY, &response.body).await
    );
    assert!(text.starts_with("data: ") && text.ends_with("data: [DONE]\n\n"));
}

/// The usage of each event; `None` without the key.
fn usages(response: &Response) -> Vec<Option<Value>> {
    response
        .events()
        .iter()
        .map(|event| event.get("usage").cloned())
        .collect()
}

#[tokio::test]
async fn usage_is_placed_as_requested() {
    let sim = sim().await;
    let counts = || Some(json!({"prompt_tokens": 3, "total_tokens": 7, "completion_tokens": 4}));
    let null = || Some(Value::Null);
    let usages = async |x_sim| usages(&post(&sim, CHAT, x_sim, STREAM_BODY).await);
    assert_eq!(usages("").await, [None, None, None, None, None, counts()]);
    assert_eq!(usages("usage=early").await, [None, None, None, counts(), None]);
    assert_eq!(
        usages("usage=repeat").await,
        [None, None, None, None, None, counts(), counts()]
    );
    assert_eq!(usages("usage=none").await, [None, None, None, None, None]);
    assert_eq!(
        usages("usage=null").await,
        [null(), null(), null(), null(), null(), counts()]
    );
    let json = async |x_sim| post(&sim, CHAT, x_sim, CHAT_BODY).await.json().get("usage").cloned();
    assert_eq!(json("usage=none").await, None);
    assert_eq!(json("usage=null").await, null());
}

#[tokio::test]
async fn continuous_usage_grows_and_needs_include_usage() {
    let sim = sim().await;
    let with = |options: &str| STREAM_BODY.replace(r#""include_usage": true"#, options);
    let response = post(
        &sim,
        CHAT,
        "",
        &with(r#""include_usage": true, "continuous_usage_stats": true"#),
    )
    .await;
    let tokens: Vec<Value> = response
        .events()
        .iter()
        .map(|event| event["usage"]["completion_tokens"].clone())
        .collect();
    assert_eq!(tokens, [0, 1, 2, 3, 4, 4]);
    let response = post(&sim, CHAT, "", &with(r#""continuous_usage_stats": true"#)).await;
    assert!(usages(&response).iter().all(Option::is_none));
}

#[tokio::test]
async fn encoding_compresses_the_body() {
    let sim = sim().await;
    let decode = |encoding: &str, bytes: &[u8]| {
        let mut text = Vec::new();
        match encoding {
            "gzip" => GzDecoder::new(bytes).read_to_end(&mut text).map(|_| text),
            _ => ZlibDecoder::new(bytes).read_to_end(&mut text).map(|_| text),
        }
    };
    for encoding in ["gzip", "deflate"] {
        for chunk in ["", ";chunk=3"] {
            let response = post(&sim, CHAT, &format!("encoding={encoding}{chunk}"), STREAM_BODY).await;
            assert_eq!(response.header("content-encoding").as_deref(), Some(encoding));
            let text = decode(encoding, &response.body).unwrap();
            assert_eq!(text, plain_like(&sim, STREAM_BODY, &text).await, "{encoding}");
        }
        let response = post(&sim, CHAT, &format!("encoding={encoding}"), CHAT_BODY).await;
        assert!(response.complete);
        let json: Value = serde_json::from_slice(&decode(encoding, &response.body).unwrap()).unwrap();
        assert_eq!(json["usage"]["prompt_tokens"], 3);
        let cut = post(&sim, CHAT, &format!("encoding={encoding};cut=event:2"), STREAM_BODY).await;
        assert!(decode(encoding, &cut.body).is_err());
    }
}

#[tokio::test]
async fn model_prompt_and_completion_set_what_is_reported() {
    let sim = sim().await;
    let x_sim = "model=org/other;prompt=1000;completion=6";
    let json = post(&sim, CHAT, x_sim, CHAT_BODY).await;
    let stream = post(&sim, CHAT, x_sim, STREAM_BODY).await;
    for response in [&json, &stream] {
        assert_eq!(response.header("x-sim-model").as_deref(), Some("org/other"));
        assert_eq!(response.header("x-sim-prompt-tokens").as_deref(), Some("1000"));
        assert_eq!(response.header("x-sim-completion-tokens").as_deref(), Some("6"));
    }
    let events = stream.events();
    assert!(events.iter().all(|event| event["model"] == "org/other"));
    for usage in [&json.json()["usage"], &events.last().unwrap()["usage"]] {
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"]),
            (&json!(1000), &json!(6))
        );
    }
    // A role, six tokens and the usage.
    assert_eq!(events.len(), 8);
    let none = post(&sim, CHAT, "completion=0", STREAM_BODY).await;
    assert_eq!((none.content(0).as_str(), none.events().len()), ("", 3));
}

#[tokio::test]
async fn tokens_per_event_groups_tokens() {
    let sim = sim().await;
    let x_sim = |per| format!("completion=7;tokens-per-event={per}");
    let one = post(&sim, CHAT, &x_sim(1), STREAM_WITHOUT_USAGE).await;
    for (per, events) in [(1, 8), (2, 5), (3, 4), (7, 2), (100, 2)] {
        let response = post(&sim, CHAT, &x_sim(per), STREAM_WITHOUT_USAGE).await;
        assert_eq!(response.events().len(), events, "{per}");
        assert_eq!(response.content(0), one.content(0), "{per}");
    }
}

#[tokio::test]
async fn token_bytes_sets_the_size_of_a_token() {
    let sim = sim().await;
    for size in [0, 1, 1000] {
        let x_sim = format!("token-bytes={size}");
        assert_eq!(post(&sim, CHAT, &x_sim, STREAM_BODY).await.content(0).len(), 4 * size);
        let json = post(&sim, CHAT, &x_sim, CHAT_BODY).await.json();
        assert_eq!(
            json["choices"][0]["message"]["content"].as_str().unwrap().len(),
            4 * size
        );
    }
}

#[tokio::test]
async fn keys_combine() {
    let sim = sim().await;
    let x_sim = "eol=crlf; comments=yes; chunk=11; gap=1ms; bom=yes; usage=null; tokens-per-event=2; last-blank=no";
    let response = post(&sim, CHAT, x_sim, STREAM_BODY).await;
    assert!(response.complete);
    let text = response.text();
    assert!(
        text.starts_with("\u{feff}data: {") && text.ends_with("\r\n\r\ndata: [DONE]\r\n"),
        "{text}"
    );
    let data: Vec<&str> = text
        .split("\r\n")
        .filter_map(|line| line.split_once("data: "))
        .map(|(_, data)| data)
        .collect();
    assert_eq!(data.len(), 5);
    assert_eq!(serde_json::from_str::<Value>(data[0]).unwrap()["usage"], Value::Null);
}
