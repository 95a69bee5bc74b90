mod chat;
mod events;
mod json;
mod messages;
mod responses;

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const JSON: Option<&[u8]> = Some(b"application/json");
const SSE: Option<&[u8]> = Some(b"text/event-stream; charset=utf-8");

/// Reads the body in one chunk and split in two at every position; the facts must be equal.
fn read(api: Api, content_type: Option<&[u8]>, body: &str) -> ResponseFacts {
    let read = |chunks: &[&[u8]]| {
        let mut reader = ResponseReader::new(api, content_type, None);
        for chunk in chunks {
            reader.feed(chunk);
        }
        reader.finish();
        reader.facts()
    };
    let unchunked = read(&[body.as_bytes()]);
    for at in 0..=body.len() {
        let (before, after) = body.as_bytes().split_at(at);
        assert_eq!(read(&[before, after]), unchunked, "split at {at} of {body}");
    }
    unchunked
}

fn tokens(facts: &ResponseFacts) -> (Option<u64>, Option<u64>) {
    (facts.usage.input, facts.usage.output)
}

/// Error, any finish reason, done.
fn stream(facts: &ResponseFacts) -> (bool, bool, bool) {
    match facts.body {
        BodyState::Stream(StreamState {
            error,
            done,
            finished: _,
            malformed: _,
        }) => (error, facts.finish_reasons.any(), done),
        other => panic!("{other:?}"),
    }
}

fn reasons(facts: &ResponseFacts) -> Vec<(&'static str, u32)> {
    facts
        .finish_reasons
        .iter()
        .map(|(reason, count)| (reason.as_str(), count))
        .collect()
}

#[test]
fn response_content_type_selects_the_reader() {
    let sse = "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}\n\n";
    let json = r#"{"usage":{"prompt_tokens":5,"completion_tokens":8}}"#;
    let known = (Some(5), Some(8));
    for (content_type, body, expected) in [
        (SSE, sse, known),
        (Some(b"Text/Event-Stream".as_slice()), sse, known),
        (JSON, json, known),
        (Some(b"application/json;charset=utf-8".as_slice()), json, known),
        (Some(b"application/problem+JSON".as_slice()), json, known),
        (None, json, known),
        (JSON, sse, (None, None)),
        (SSE, json, (None, None)),
        (None, sse, (None, None)),
        (Some(b"text/plain".as_slice()), json, (None, None)),
        (Some(b"".as_slice()), json, (None, None)),
    ] {
        assert_eq!(
            tokens(&read(Api::Chat, content_type, body)),
            expected,
            "{content_type:?} {body}"
        );
    }
}

#[test]
fn unsupported_content_coding_is_reported() {
    for coding in ["br", "zstd", "gzip, br", "compress"] {
        let reader = ResponseReader::new(Api::Chat, JSON, Some(coding.as_bytes()));
        assert!(!reader.wants_more());
        assert_eq!(reader.facts().body, BodyState::Encoded);
    }
    assert!(ResponseReader::new(Api::Chat, JSON, Some(b"Identity")).wants_more());
    assert_eq!(
        ResponseReader::new(Api::Chat, Some(b"text/plain"), Some(b"gzip"))
            .facts()
            .body,
        BodyState::Unsupported
    );
}

#[test]
fn no_bytes_are_needed_after_the_end_or_an_error() {
    let mut reader = ResponseReader::new(Api::Chat, SSE, None);
    reader.feed(b"data: [DONE]\n\n");
    assert!(!reader.wants_more());
    let mut reader = ResponseReader::new(Api::Chat, JSON, None);
    reader.feed(b"not json");
    assert!(!reader.wants_more());
}
