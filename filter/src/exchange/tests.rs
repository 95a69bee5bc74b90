use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const BY_CLIENT: Termination = Termination {
    status: None,
    by: TerminatedBy::Client,
};
const BY_UPSTREAM: Termination = Termination {
    status: None,
    by: TerminatedBy::Upstream,
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

fn outcome(mut exchange: Exchange, termination: Termination) -> Outcome {
    exchange.finish(5_000, termination).outcome
}

fn completed(mut exchange: Exchange) -> Outcome {
    exchange.response_end(2_000);
    outcome(exchange, BY_UPSTREAM)
}

#[test]
fn error_status_precedes_other_causes() {
    let mut rejected = exchange();
    rejected.response_headers(503, SSE, None);
    assert_eq!(
        outcome(rejected, BY_CLIENT),
        Outcome::Failed(ErrorCode::ServiceUnavailable)
    );
    // Envoy's local reply did not pass the filter.
    let timeout = Termination {
        status: Some(504),
        by: TerminatedBy::Upstream,
    };
    assert_eq!(outcome(exchange(), timeout), Outcome::Failed(ErrorCode::Timeout));
    // Another filter replaced the 2xx response that did.
    assert_eq!(
        outcome(stream(&[FINISHED]), timeout),
        Outcome::Failed(ErrorCode::Timeout)
    );
    let by_client = Termination {
        status: Some(200),
        by: TerminatedBy::Client,
    };
    assert_eq!(outcome(exchange(), by_client), Outcome::Cancelled);
}

#[test]
fn error_event_precedes_later_causes() {
    assert_eq!(
        completed(stream(&[ERROR, FINISHED, DONE])),
        Outcome::Failed(ErrorCode::StreamError)
    );
    assert_eq!(
        outcome(stream(&[ERROR]), BY_CLIENT),
        Outcome::Failed(ErrorCode::StreamError)
    );
    assert_eq!(
        outcome(stream(&[ERROR]), BY_UPSTREAM),
        Outcome::Failed(ErrorCode::StreamError)
    );
}

#[test]
fn stream_succeeds_with_end_marker_or_finish_reason() {
    assert_eq!(completed(stream(&[FINISHED, DONE])), Outcome::Success);
    assert_eq!(completed(stream(&[FINISHED])), Outcome::Success);
    assert_eq!(completed(stream(&[DONE])), Outcome::Success);
    assert_eq!(
        completed(stream(&[b"data: {}\n\n"])),
        Outcome::Failed(ErrorCode::Truncated)
    );
    assert_eq!(completed(stream(&[])), Outcome::Failed(ErrorCode::Truncated));
}

#[test]
fn incomplete_response_is_cancelled_or_reset_by_its_terminator() {
    for start in [exchange as fn() -> Exchange, || stream(&[]), || stream(&[FINISHED])] {
        assert_eq!(outcome(start(), BY_CLIENT), Outcome::Cancelled);
        assert_eq!(outcome(start(), BY_UPSTREAM), Outcome::Failed(ErrorCode::UpstreamReset));
    }
    // After the end marker the response is complete.
    assert_eq!(outcome(stream(&[DONE]), BY_CLIENT), Outcome::Success);
    assert_eq!(outcome(stream(&[DONE]), BY_UPSTREAM), Outcome::Success);
}

#[test]
fn complete_response_without_a_stream_succeeds() {
    let mut json = exchange();
    json.response_headers(200, Some(b"application/json"), None);
    assert_eq!(completed(json), Outcome::Success);
    for (body, expected) in [
        (&b"{}"[..], Outcome::Success),
        (b"no json", Outcome::Success),
        // Delimited by the connection's close.
        (b"{\"choices\":[", Outcome::Failed(ErrorCode::UpstreamReset)),
    ] {
        let mut json = exchange();
        json.response_headers(200, None, None);
        json.response_body(body.len());
        json.read_response(body);
        assert_eq!(completed(json), expected, "{body:?}");
    }
    let mut encoded = exchange();
    encoded.response_headers(200, SSE, Some(b"br"));
    assert_eq!(completed(encoded), Outcome::Success);
    let mut redirect = exchange();
    redirect.response_headers(307, None, None);
    assert_eq!(completed(redirect), Outcome::Success);
}

#[test]
fn client_that_has_everything_may_disconnect() {
    const USAGE: &[u8] = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}\n\n";
    const OTHER_CHOICE: &[u8] = b"data: {\"choices\":[{\"index\":1}]}\n\n";
    assert_eq!(outcome(stream(&[FINISHED, USAGE]), BY_CLIENT), Outcome::Success);
    assert_eq!(
        outcome(stream(&[FINISHED, USAGE]), BY_UPSTREAM),
        Outcome::Failed(ErrorCode::UpstreamReset)
    );
    for chunks in [
        &[FINISHED][..],
        &[USAGE],
        &[OTHER_CHOICE, FINISHED, USAGE],
        &[FINISHED, &USAGE[..USAGE.len() - 3]],
    ] {
        assert_eq!(outcome(stream(chunks), BY_CLIENT), Outcome::Cancelled);
    }
    let json = |body: &[u8]| {
        let mut json = exchange();
        json.response_headers(200, None, None);
        json.response_body(body.len());
        json.read_response(body);
        outcome(json, BY_CLIENT)
    };
    assert_eq!(json(b"{\"choices\":[]}"), Outcome::Success);
    assert_eq!(json(b"{\"choices\":["), Outcome::Cancelled);
    assert_eq!(json(b"no json"), Outcome::Cancelled);
}

#[test]
fn document_that_reports_a_failure_is_a_model_server_error() {
    for termination in [BY_CLIENT, BY_UPSTREAM] {
        for complete in [false, true] {
            let mut exchange = exchange();
            exchange.response_headers(200, None, None);
            exchange.response_body(30);
            exchange.read_response(b"{\"error\":{\"message\":\"x\"}}");
            if complete {
                exchange.response_end(2_000);
            }
            let summary = exchange.finish(5_000, termination);
            assert_eq!(summary.outcome, Outcome::Failed(ErrorCode::ModelServerError));
            assert_eq!(summary.usage_source, Some(UsageSource::MissingTruncated));
        }
    }
}

#[test]
fn duration_ends_with_the_response_or_the_abort() {
    let mut complete = stream(&[DONE]);
    complete.response_end(2_000);
    complete.response_end(3_000);
    assert_eq!(complete.finish(5_000, BY_UPSTREAM).duration_ns, 1_000);
    assert_eq!(stream(&[]).finish(5_000, BY_CLIENT).duration_ns, 4_000);
    assert_eq!(exchange().finish(0, BY_CLIENT).duration_ns, 0);
}

#[test]
fn unread_bytes_are_counted() {
    let mut exchange = Exchange::new(Api::Chat, 0, None);
    exchange.request_encoding(Some(b"br"));
    assert!(!exchange.request_body(700));
    exchange.request_end();
    exchange.response_headers(500, None, None);
    assert!(!exchange.response_body(30));
    assert!(!exchange.response_body(4));
    let summary = exchange.finish(1, BY_UPSTREAM);
    assert_eq!((summary.request_bytes, summary.response_bytes), (700, 34));
}

#[test]
fn requested_model_is_pending_until_the_request_is_complete() {
    let mut exchange = Exchange::new(Api::Chat, 0, Some(Vec::new()));
    exchange.read_request(b"{\"model\":\"m\"}");
    assert_eq!(exchange.requested_model(), RequestedModel::Pending);
    assert_eq!(exchange.request().model.as_deref(), Some(b"m".as_slice()));
    exchange.request_end();
    exchange.request_end();
    assert_eq!(exchange.requested_model(), RequestedModel::Named(b"m"));
    assert_eq!(exchange.target(), None, "an empty header names no model");
}

#[test]
fn every_2xx_response_has_a_usage_source() {
    const INCLUDE_USAGE: &str = r#"{"stream_options":{"include_usage":true}}"#;
    const USAGE: &[u8] = b"data: {\"usage\":{\"prompt_tokens\":5}}\n\n";
    const IDS: &[u8] = b"data: {\"choices\":[{\"token_ids\":[7,8]}]}\n\n";
    let json: Option<&[u8]> = Some(b"application/json");
    let source = |request: &str,
                  api: Api,
                  kind: Option<&[u8]>,
                  coding: Option<&[u8]>,
                  body: &[u8],
                  termination: Option<Termination>| {
        let mut exchange = Exchange::new(api, 0, None);
        exchange.read_request(request.as_bytes());
        exchange.request_end();
        exchange.response_headers(200, kind, coding);
        exchange.response_body(body.len());
        exchange.read_response(body);
        if termination.is_none() {
            exchange.response_end(1);
        }
        exchange
            .finish(2, termination.unwrap_or(BY_UPSTREAM))
            .usage_source
            .unwrap()
    };
    for (source, expected) in [
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, USAGE, None),
            UsageSource::Reported,
        ),
        (
            source("{}", Api::Chat, SSE, None, USAGE, Some(BY_CLIENT)),
            UsageSource::Reported,
        ),
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, IDS, None),
            UsageSource::Counted,
        ),
        (
            source("{}", Api::Chat, SSE, None, DONE, None),
            UsageSource::MissingNotRequested,
        ),
        (
            source("{}", Api::Chat, SSE, None, b"", Some(BY_CLIENT)),
            UsageSource::MissingNotRequested,
        ),
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, b"", Some(BY_CLIENT)),
            UsageSource::MissingAborted,
        ),
        (
            source("{}", Api::Messages, SSE, None, b"", Some(BY_CLIENT)),
            UsageSource::MissingAborted,
        ),
        (
            source("{}", Api::Chat, json, None, b"", Some(BY_CLIENT)),
            UsageSource::MissingAborted,
        ),
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, b"", Some(BY_UPSTREAM)),
            UsageSource::MissingTruncated,
        ),
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, b"", None),
            UsageSource::MissingTruncated,
        ),
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, ERROR, None),
            UsageSource::MissingTruncated,
        ),
        (
            source(INCLUDE_USAGE, Api::Chat, SSE, None, DONE, None),
            UsageSource::MissingUnparsed,
        ),
        (
            source(
                "",
                Api::Audio,
                json,
                None,
                br#"{"usage":{"type":"duration","seconds":27}}"#,
                None,
            ),
            UsageSource::ReportedDuration,
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
            source(INCLUDE_USAGE, Api::Chat, SSE, Some(b"zstd"), b"x", Some(BY_CLIENT)),
            UsageSource::MissingEncoded,
        ),
    ] {
        assert_eq!(source, expected);
    }
    let mut failed = exchange();
    failed.response_headers(500, json, None);
    assert_eq!(failed.finish(1, BY_UPSTREAM).usage_source, None);
}

#[test]
fn request_that_cannot_be_decoded_is_not_known_to_have_omitted_usage() {
    let source = |coding: &[u8], body: &[u8], chunks: &[&[u8]], termination: Option<Termination>| {
        let mut exchange = Exchange::new(Api::Chat, 0, None);
        exchange.request_encoding(Some(coding));
        if exchange.request_body(body.len()) {
            exchange.read_request(body);
        }
        exchange.request_end();
        exchange.response_headers(200, SSE, None);
        for chunk in chunks {
            exchange.read_response(chunk);
        }
        if termination.is_none() {
            exchange.response_end(1);
        }
        let summary = exchange.finish(2, termination.unwrap_or(BY_UPSTREAM));
        assert!(!exchange.request().malformed);
        summary.usage_source.unwrap()
    };
    for coding in [&b"br"[..], b"gzip"] {
        let body = b"{\"model\":\"m\"}";
        assert_eq!(source(coding, body, &[DONE], None), UsageSource::MissingUnparsed);
        assert_eq!(source(coding, body, &[], Some(BY_CLIENT)), UsageSource::MissingAborted);
        assert_eq!(source(coding, body, &[], None), UsageSource::MissingTruncated);
    }
    assert_eq!(
        source(b"identity", b"{\"model\":\"m\"}", &[DONE], None),
        UsageSource::MissingNotRequested
    );
}
