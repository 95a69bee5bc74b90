//! Rules of the contract that no capture shows: duplicate keys, absurd numbers, streams that are cut off, codings.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::io::Read as _;

use flate2::Compression;
use flate2::read::GzEncoder;
use infertally_oracle::capture::Response;
use infertally_oracle::{Completion, Expected, Facts, Outcome, duration, read};

const CHAT: &str = "/v1/chat/completions";
const REQUEST: &[u8] = br#"{"model":"tiny","stream_options":{"include_usage":true}}"#;

fn response(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: body.into(),
        complete: true,
    }
}

fn document(body: &str) -> Facts {
    read(
        CHAT,
        REQUEST,
        &response(200, "application/json", body),
        Completion::Complete,
    )
    .unwrap()
}

fn stream(body: &str, completion: Completion) -> Facts {
    read(CHAT, REQUEST, &response(200, "text/event-stream", body), completion).unwrap()
}

#[test]
fn the_last_of_duplicate_keys_wins() {
    let facts = document(
        r#"{"model":"a","usage":{"prompt_tokens":1},"model":"b","usage":{"prompt_tokens":2,"prompt_tokens":3},
            "choices":[{"finish_reason":"stop","finish_reason":"length"}]}"#,
    );
    assert_eq!(facts.response_model.as_deref(), Some("b"));
    assert_eq!(facts.usage.input, Some(3));
    assert_eq!(facts.finish_reasons, [("length", 1)].into());
}

#[test]
fn only_whole_numbers_are_counts() {
    for (number, count) in [
        ("0", Some(0)),
        ("12.0", Some(12)),
        ("1.2e1", Some(12)),
        ("4294967295", Some(4_294_967_295)),
        ("4294967296", None),
        ("-1", None),
        ("1.5", None),
        ("1e300", None),
        ("null", None),
        ("\"12\"", None),
    ] {
        let facts = document(&format!(r#"{{"usage":{{"prompt_tokens":{number}}}}}"#));
        assert_eq!(facts.usage.input, count, "{number}");
    }
}

#[test]
fn usage_deeper_inside_is_text() {
    let facts = document(r#"{"choices":[{"usage":{"prompt_tokens":1},"message":{"error":{}}}],"data":{"model":"x"}}"#);
    assert_eq!((facts.usage.input, facts.response_model), (None, None));
    assert_eq!(facts.usage_source, Some("missing_unparsed"));
}

#[test]
fn an_event_without_its_blank_line_counts() {
    let facts = stream(
        "data: {\"usage\":{\"completion_tokens\":4}}\r\n",
        Completion::UpstreamReset,
    );
    assert_eq!(facts.usage.output, Some(4));
    assert_eq!(facts.outcome, Outcome::Failed("UpstreamReset"));
}

#[test]
fn the_earliest_failure_decides() {
    let error = "data: {\"error\":{}}\n\n";
    let finish = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
    let done = "data: [DONE]\n\n";
    for (events, completion, outcome) in [
        ([error, done], Completion::UpstreamReset, Outcome::Failed("StreamError")),
        ([finish, done], Completion::ClientDisconnect, Outcome::Success),
        ([finish, ""], Completion::ClientDisconnect, Outcome::Cancelled),
        (
            [finish, ""],
            Completion::UpstreamReset,
            Outcome::Failed("UpstreamReset"),
        ),
        ([finish, ""], Completion::Complete, Outcome::Success),
        (["data: {}\n\n", ""], Completion::Complete, Outcome::Failed("Truncated")),
        ([done, error], Completion::Complete, Outcome::Success),
    ] {
        let facts = stream(&events.concat(), completion);
        assert_eq!(facts.outcome, outcome, "{events:?}, {completion:?}");
    }
}

#[test]
fn an_incomplete_document_is_an_upstream_reset_and_invalid() {
    let facts = document(r#"{"model":"tiny","usage":{"prompt_tokens":1}"#);
    assert_eq!(facts.outcome, Outcome::Failed("UpstreamReset"));
    assert!(facts.invalid_response && facts.usage.input.is_none());
    let facts = document("<html>");
    assert_eq!(facts.outcome, Outcome::Success);
    assert!(facts.invalid_response);
}

#[test]
fn a_coding_is_decoded_or_reported() {
    let mut encoded = Vec::new();
    GzEncoder::new(&br#"{"usage":{"prompt_tokens":5}}"#[..], Compression::fast())
        .read_to_end(&mut encoded)
        .unwrap();
    for (coding, body, source) in [
        ("gzip", encoded.clone(), "reported"),
        ("gzip", b"{}".to_vec(), "missing_encoded"),
        ("br", encoded, "missing_encoded"),
    ] {
        let mut response = response(200, "application/json", body);
        response
            .headers
            .push(("content-encoding".to_owned(), coding.to_owned()));
        let facts = read(CHAT, REQUEST, &response, Completion::Complete).unwrap();
        assert_eq!(facts.usage_source, Some(source), "{coding}");
    }
}

#[test]
fn what_cannot_be_decided_is_an_error() {
    for body in [
        "NaN",
        "7",
        "[1e00000000000000000000000000000000000000000000000000000000000000001]",
    ] {
        let response = response(200, "application/json", body);
        assert!(read(CHAT, REQUEST, &response, Completion::Complete).is_err(), "{body}");
    }
    let response = response(200, "application/json", "{}");
    assert!(read("/tokenize", REQUEST, &response, Completion::Complete).is_err());
}

#[test]
fn a_wrong_series_or_value_is_reported() {
    let mut expected = Expected::new(1);
    expected.add(&document(r#"{"model":"tiny","usage":{"prompt_tokens":5}}"#));
    let name = "inference_model_request_total{model_name=\"tiny\",target_model_name=\"tiny\"}";
    let page = format!("{name} 2\n");
    let error = expected
        .check(&infertally_oracle::stats::parse(&page).unwrap())
        .unwrap_err();
    assert!(error.contains("2, must be 1"), "{error}");
    assert!(error.contains("inference_model_input_tokens_bucket"), "{error}");
    assert!(duration::check(&[].into(), &[].into(), 1).is_err());
}

#[test]
fn a_usage_is_of_one_choice_unless_its_event_is_of_all() {
    let one = |index: u8, tokens: u8| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index}}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{tokens}}}}}\n\n"
        )
    };
    let each = [one(0, 1), one(1, 2), one(0, 3)].concat();
    let usage = stream(&each, Completion::UpstreamReset).usage;
    assert_eq!((usage.input, usage.output), (Some(5), Some(5)));
    let all = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":6,\"completion_tokens\":9}}\n\n";
    let usage = stream(&format!("{each}{all}"), Completion::UpstreamReset).usage;
    assert_eq!((usage.input, usage.output), (Some(6), Some(9)));
}

#[test]
fn a_client_that_has_everything_had_a_success() {
    let finished = "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\n";
    let outcome = |body: &str| stream(body, Completion::ClientDisconnect).outcome;
    assert_eq!(outcome(&format!("{finished}{usage}")), Outcome::Success);
    assert_eq!(outcome(finished), Outcome::Cancelled);
    assert_eq!(outcome(usage), Outcome::Cancelled);
}

#[test]
fn failures_are_reported_in_documents_and_fields() {
    for (body, outcome) in [
        (r#"{"error":{"message":"x"}}"#, Outcome::Failed("ModelServerError")),
        (r#"{"error":null}"#, Outcome::Success),
    ] {
        assert_eq!(document(body).outcome, outcome, "{body}");
    }
    let facts = stream("error: {\"code\":500}\n\ndata:\n\n", Completion::Complete);
    assert_eq!(
        (facts.outcome, facts.invalid_response),
        (Outcome::Failed("StreamError"), false)
    );
}

#[test]
fn a_message_counts_its_cached_prompt() {
    let usage = r#"{"usage":{"input_tokens":18,"cache_read_input_tokens":256,"cache_creation_input_tokens":1}}"#;
    let response = response(200, "application/json", usage);
    let facts = read("/v1/messages", b"{}", &response, Completion::Complete).unwrap();
    assert_eq!((facts.usage.input, facts.usage.cached_input), (Some(275), Some(256)));
}
