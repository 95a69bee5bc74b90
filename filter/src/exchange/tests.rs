use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const GONE: Termination = Termination {
    status: None,
    side: TerminatedBy::Client,
};
const BROKEN: Termination = Termination {
    status: None,
    side: TerminatedBy::Server,
};
const SSE: Option<&[u8]> = Some(b"text/event-stream");
const FINISHED: &[u8] = b"data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
const ERROR: &[u8] = b"data: {\"error\":{}}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

fn exchange() -> Exchange {
    let mut exchange = Exchange::new(Api::Chat, 1_000, None);
    exchange.request_end();
    exchange
}

fn stream(chunks: &[&[u8]]) -> Exchange {
    let mut exchange = exchange();
    exchange.response_headers(200, SSE, None);
    for chunk in chunks {
        assert!(exchange.response_body(chunk.len()));
        exchange.read_response(chunk);
    }
    exchange
}

fn outcome(mut exchange: Exchange, ending: Termination) -> Outcome {
    exchange.end(5_000, ending).outcome
}

fn whole(mut exchange: Exchange) -> Outcome {
    exchange.response_end(2_000);
    outcome(exchange, BROKEN)
}

#[test]
fn a_bad_status_is_the_earliest_cause() {
    let mut answered = exchange();
    answered.response_headers(503, SSE, None);
    assert_eq!(outcome(answered, GONE), Outcome::Failed(ErrorCode::ServiceUnavailable));
    // Envoy knows a status that never passed the filter.
    let ending = Termination {
        status: Some(504),
        side: TerminatedBy::Server,
    };
    assert_eq!(outcome(exchange(), ending), Outcome::Failed(ErrorCode::Timeout));
    // Or put it in the place of the good one that did.
    assert_eq!(
        outcome(stream(&[FINISHED]), ending),
        Outcome::Failed(ErrorCode::Timeout)
    );
    let good = Termination {
        status: Some(200),
        side: TerminatedBy::Client,
    };
    assert_eq!(outcome(exchange(), good), Outcome::Cancelled);
}

#[test]
fn an_error_event_beats_whatever_comes_later() {
    assert_eq!(
        whole(stream(&[ERROR, FINISHED, DONE])),
        Outcome::Failed(ErrorCode::StreamError)
    );
    assert_eq!(outcome(stream(&[ERROR]), GONE), Outcome::Failed(ErrorCode::StreamError));
    assert_eq!(
        outcome(stream(&[ERROR]), BROKEN),
        Outcome::Failed(ErrorCode::StreamError)
    );
}

#[test]
fn a_stream_is_good_with_its_end_marker_or_a_finish_reason() {
    assert_eq!(whole(stream(&[FINISHED, DONE])), Outcome::Success);
    assert_eq!(whole(stream(&[FINISHED])), Outcome::Success);
    assert_eq!(whole(stream(&[DONE])), Outcome::Success);
    assert_eq!(whole(stream(&[b"data: {}\n\n"])), Outcome::Failed(ErrorCode::Truncated));
    assert_eq!(whole(stream(&[])), Outcome::Failed(ErrorCode::Truncated));
}

#[test]
fn who_leaves_before_the_end_is_told_apart() {
    for begun in [exchange as fn() -> Exchange, || stream(&[]), || stream(&[FINISHED])] {
        assert_eq!(outcome(begun(), GONE), Outcome::Cancelled);
        assert_eq!(outcome(begun(), BROKEN), Outcome::Failed(ErrorCode::UpstreamReset));
    }
    // With the end marker the answer was whole.
    assert_eq!(outcome(stream(&[DONE]), GONE), Outcome::Success);
    assert_eq!(outcome(stream(&[DONE]), BROKEN), Outcome::Success);
}

#[test]
fn an_answer_that_is_no_stream_or_can_not_be_read_is_good_when_it_is_whole() {
    let mut json = exchange();
    json.response_headers(200, Some(b"application/json"), None);
    assert_eq!(whole(json), Outcome::Success);
    for (body, expected) in [
        (&b"{}"[..], Outcome::Success),
        (b"no json", Outcome::Success),
        // Its end was the connection's end.
        (b"{\"choices\":[", Outcome::Failed(ErrorCode::UpstreamReset)),
    ] {
        let mut json = exchange();
        json.response_headers(200, None, None);
        json.response_body(body.len());
        json.read_response(body);
        assert_eq!(whole(json), expected, "{body:?}");
    }
    let mut encoded = exchange();
    encoded.response_headers(200, SSE, Some(b"br"));
    assert_eq!(whole(encoded), Outcome::Success);
    let mut redirect = exchange();
    redirect.response_headers(307, None, None);
    assert_eq!(whole(redirect), Outcome::Success);
}

#[test]
fn the_duration_ends_with_the_answer_or_the_abort() {
    let mut answered = stream(&[DONE]);
    answered.response_end(2_000);
    answered.response_end(3_000);
    assert_eq!(answered.end(5_000, BROKEN).duration_ns, 1_000);
    assert_eq!(stream(&[]).end(5_000, GONE).duration_ns, 4_000);
    assert_eq!(exchange().end(0, GONE).duration_ns, 0);
}

#[test]
fn bytes_are_counted_even_when_they_are_not_read() {
    let mut exchange = Exchange::new(Api::Audio, 0, None);
    assert!(!exchange.request_body(700));
    exchange.request_end();
    exchange.response_headers(500, None, None);
    assert!(!exchange.response_body(30));
    assert!(!exchange.response_body(4));
    let ended = exchange.end(1, BROKEN);
    assert_eq!((ended.request_bytes, ended.response_bytes), (700, 34));
}

#[test]
fn the_model_is_asked_for_once_the_request_is_whole() {
    let mut exchange = Exchange::new(Api::Chat, 0, Some(Vec::new()));
    exchange.read_request(b"{\"model\":\"m\"}");
    assert_eq!(exchange.asked(), RequestedModel::NotYet);
    assert_eq!(exchange.request().model.as_deref(), Some(b"m".as_slice()));
    exchange.request_end();
    exchange.request_end();
    assert_eq!(exchange.asked(), RequestedModel::Model(b"m"));
    assert_eq!(exchange.target(), None, "an empty header names nobody");
}

#[test]
fn how_the_tokens_became_known_is_told_for_every_good_answer() {
    const ASKS: &str = r#"{"stream_options":{"include_usage":true}}"#;
    const USAGE: &[u8] = b"data: {\"usage\":{\"prompt_tokens\":5}}\n\n";
    const IDS: &[u8] = b"data: {\"choices\":[{\"token_ids\":[7,8]}]}\n\n";
    let json: Option<&[u8]> = Some(b"application/json");
    let source =
        |request: &str, api: Api, kind: Option<&[u8]>, coding: Option<&[u8]>, body: &[u8], end: Option<Termination>| {
            let mut exchange = Exchange::new(api, 0, None);
            exchange.read_request(request.as_bytes());
            exchange.request_end();
            exchange.response_headers(200, kind, coding);
            exchange.response_body(body.len());
            exchange.read_response(body);
            if end.is_none() {
                exchange.response_end(1);
            }
            exchange.end(2, end.unwrap_or(BROKEN)).usage_source.unwrap()
        };
    for (seen, wanted) in [
        (source(ASKS, Api::Chat, SSE, None, USAGE, None), UsageSource::Reported),
        (
            source("{}", Api::Chat, SSE, None, USAGE, Some(GONE)),
            UsageSource::Reported,
        ),
        (source(ASKS, Api::Chat, SSE, None, IDS, None), UsageSource::Counted),
        (
            source("{}", Api::Chat, SSE, None, DONE, None),
            UsageSource::MissingNotRequested,
        ),
        (
            source("{}", Api::Chat, SSE, None, b"", Some(GONE)),
            UsageSource::MissingNotRequested,
        ),
        (
            source(ASKS, Api::Chat, SSE, None, b"", Some(GONE)),
            UsageSource::MissingAborted,
        ),
        (
            source("{}", Api::Messages, SSE, None, b"", Some(GONE)),
            UsageSource::MissingAborted,
        ),
        (
            source("{}", Api::Chat, json, None, b"", Some(GONE)),
            UsageSource::MissingAborted,
        ),
        (
            source(ASKS, Api::Chat, SSE, None, b"", Some(BROKEN)),
            UsageSource::MissingTruncated,
        ),
        (
            source(ASKS, Api::Chat, SSE, None, b"", None),
            UsageSource::MissingTruncated,
        ),
        (
            source(ASKS, Api::Chat, SSE, None, ERROR, None),
            UsageSource::MissingTruncated,
        ),
        (
            source(ASKS, Api::Chat, SSE, None, DONE, None),
            UsageSource::MissingUnparsed,
        ),
        (
            source("{}", Api::Chat, json, None, b"{}", None),
            UsageSource::MissingUnparsed,
        ),
        (
            source("{}", Api::Chat, json, None, b"no json", None),
            UsageSource::MissingUnparsed,
        ),
        (
            source("{}", Api::Chat, json, Some(b"br"), b"x", None),
            UsageSource::MissingEncoded,
        ),
        (
            source(ASKS, Api::Chat, SSE, Some(b"zstd"), b"x", Some(GONE)),
            UsageSource::MissingEncoded,
        ),
    ] {
        assert_eq!(seen, wanted);
    }
    let mut failed = exchange();
    failed.response_headers(500, json, None);
    assert_eq!(failed.end(1, BROKEN).usage_source, None);
}
