//! The keys of `x-sim` that change an answer's bytes and leave it whole: a key that did nothing would fail its test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use serde_json::{Value, json};
use support::*;

const QUIET_STREAM: &str = r#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 4, "stream": true}"#;

/// A stream's body without faults, its id and time taken from `like` so that bytes can be compared.
async fn plain_like(sim: &infertally_sim::Sim, body: &str, like: &[u8]) -> Vec<u8> {
    let plain = ask(sim, CHAT, "", body).await.text();
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
async fn chunk_cuts_the_body_into_pieces_of_its_size() {
    let sim = sim().await;
    for size in [1, 3, 64, 1000] {
        let answer = ask(&sim, CHAT, &format!("chunk={size}"), STREAM).await;
        let (last, full) = answer.chunks.split_last().unwrap();
        assert!(full.iter().all(|chunk| chunk.len() == size), "{size}");
        assert!(!full.is_empty() && last.len() <= size, "{size}");
        assert_eq!(answer.body, plain_like(&sim, STREAM, &answer.body).await);
    }
    let answer = ask(&sim, CHAT, "chunk=5", ASK).await;
    assert!(answer.whole);
    assert_eq!(answer.json()["usage"]["completion_tokens"], 4);
}

#[tokio::test]
async fn chunk_all_is_one_write() {
    let sim = sim().await;
    let answer = ask(&sim, CHAT, "chunk=all", STREAM).await;
    assert_eq!(answer.chunks.len(), 1);
    assert_eq!(answer.body, plain_like(&sim, STREAM, &answer.body).await);
}

#[tokio::test]
async fn done_no_leaves_it_out() {
    let sim = sim().await;
    let answer = ask(&sim, CHAT, "done=no", STREAM).await;
    let whole = plain_like(&sim, STREAM, &answer.body).await;
    assert_eq!(answer.body, whole.strip_suffix(b"data: [DONE]\n\n").unwrap());
    assert!(answer.whole);
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
        let answer = ask(&sim, CHAT, x_sim, STREAM).await;
        let plain = String::from_utf8(plain_like(&sim, STREAM, &answer.body).await).unwrap();
        assert_eq!(answer.text(), change(plain), "{x_sim}");
    }
    assert!(
        ask(&sim, CHAT, "bom=yes", ASK)
            .await
            .body
            .starts_with(b"\xef\xbb\xbf{\"id\"")
    );
}

#[tokio::test]
async fn comments_stand_between_events() {
    let sim = sim().await;
    let answer = ask(&sim, CHAT, "comments=yes", STREAM).await;
    let text = answer.text();
    assert_eq!(text.matches(": ping\n\n").count(), 6);
    assert_eq!(
        text.replace(": ping\n\n", "").into_bytes(),
        plain_like(&sim, STREAM, &answer.body).await
    );
    assert!(text.starts_with("data: ") && text.ends_with("data: [DONE]\n\n"));
}

/// For each event its usage: `None` where it has no such key.
fn usages(answer: &Answer) -> Vec<Option<Value>> {
    answer
        .events()
        .iter()
        .map(|event| event.get("usage").cloned())
        .collect()
}

#[tokio::test]
async fn usage_stands_where_it_is_asked_to() {
    let sim = sim().await;
    let counts = || Some(json!({"prompt_tokens": 3, "total_tokens": 7, "completion_tokens": 4}));
    let null = || Some(Value::Null);
    let usages = async |x_sim| usages(&ask(&sim, CHAT, x_sim, STREAM).await);
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
    let json = async |x_sim| ask(&sim, CHAT, x_sim, ASK).await.json().get("usage").cloned();
    assert_eq!(json("usage=none").await, None);
    assert_eq!(json("usage=null").await, null());
}

#[tokio::test]
async fn continuous_usage_grows_and_is_kept_from_those_who_did_not_ask() {
    let sim = sim().await;
    let with = |options: &str| STREAM.replace(r#""include_usage": true"#, options);
    let answer = ask(
        &sim,
        CHAT,
        "",
        &with(r#""include_usage": true, "continuous_usage_stats": true"#),
    )
    .await;
    let tokens: Vec<Value> = answer
        .events()
        .iter()
        .map(|event| event["usage"]["completion_tokens"].clone())
        .collect();
    assert_eq!(tokens, [0, 1, 2, 3, 4, 4]);
    let answer = ask(&sim, CHAT, "", &with(r#""continuous_usage_stats": true"#)).await;
    assert!(usages(&answer).iter().all(Option::is_none));
}

#[tokio::test]
async fn encoding_compresses_the_body_and_says_so() {
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
            let answer = ask(&sim, CHAT, &format!("encoding={encoding}{chunk}"), STREAM).await;
            assert_eq!(answer.header("content-encoding").as_deref(), Some(encoding));
            let text = decode(encoding, &answer.body).unwrap();
            assert_eq!(text, plain_like(&sim, STREAM, &text).await, "{encoding}");
        }
        let answer = ask(&sim, CHAT, &format!("encoding={encoding}"), ASK).await;
        assert!(answer.whole);
        let json: Value = serde_json::from_slice(&decode(encoding, &answer.body).unwrap()).unwrap();
        assert_eq!(json["usage"]["prompt_tokens"], 3);
        let cut = ask(&sim, CHAT, &format!("encoding={encoding};cut=event:2"), STREAM).await;
        assert!(decode(encoding, &cut.body).is_err());
    }
}

#[tokio::test]
async fn model_prompt_and_completion_decide_what_is_told() {
    let sim = sim().await;
    let x_sim = "model=org/other;prompt=1000;completion=6";
    let json = ask(&sim, CHAT, x_sim, ASK).await;
    let stream = ask(&sim, CHAT, x_sim, STREAM).await;
    for answer in [&json, &stream] {
        assert_eq!(answer.header("x-sim-model").as_deref(), Some("org/other"));
        assert_eq!(answer.header("x-sim-prompt-tokens").as_deref(), Some("1000"));
        assert_eq!(answer.header("x-sim-completion-tokens").as_deref(), Some("6"));
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
    let none = ask(&sim, CHAT, "completion=0", STREAM).await;
    assert_eq!((none.content(0).as_str(), none.events().len()), ("", 3));
}

#[tokio::test]
async fn tokens_per_event_puts_several_tokens_into_one() {
    let sim = sim().await;
    let x_sim = |per| format!("completion=7;tokens-per-event={per}");
    let one = ask(&sim, CHAT, &x_sim(1), QUIET_STREAM).await;
    for (per, events) in [(1, 8), (2, 5), (3, 4), (7, 2), (100, 2)] {
        let answer = ask(&sim, CHAT, &x_sim(per), QUIET_STREAM).await;
        assert_eq!(answer.events().len(), events, "{per}");
        assert_eq!(answer.content(0), one.content(0), "{per}");
    }
}

#[tokio::test]
async fn words_sets_the_bytes_of_a_token() {
    let sim = sim().await;
    for size in [0, 1, 1000] {
        let x_sim = format!("words={size}");
        assert_eq!(ask(&sim, CHAT, &x_sim, STREAM).await.content(0).len(), 4 * size);
        let json = ask(&sim, CHAT, &x_sim, ASK).await.json();
        assert_eq!(
            json["choices"][0]["message"]["content"].as_str().unwrap().len(),
            4 * size
        );
    }
}

#[tokio::test]
async fn several_keys_hold_together() {
    let sim = sim().await;
    let x_sim = "eol=crlf; comments=yes; chunk=11; gap=1ms; bom=yes; usage=null; tokens-per-event=2; last-blank=no";
    let answer = ask(&sim, CHAT, x_sim, STREAM).await;
    assert!(answer.whole);
    let text = answer.text();
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
