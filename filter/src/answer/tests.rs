use super::*;

const JSON: Option<&[u8]> = Some(b"application/json");
const SSE: Option<&[u8]> = Some(b"text/event-stream; charset=utf-8");

/// Reads the body in one piece and at every cut, which must agree.
fn read(api: Api, content_type: Option<&[u8]>, body: &str) -> AnswerFacts {
    let read = |chunks: &[&[u8]]| {
        let mut reader = AnswerReader::new(api, content_type, None);
        for chunk in chunks {
            reader.feed(chunk);
        }
        reader.finish();
        reader.facts()
    };
    let whole = read(&[body.as_bytes()]);
    for at in 0..=body.len() {
        let (before, after) = body.as_bytes().split_at(at);
        assert_eq!(read(&[before, after]), whole, "cut at {at} of {body}");
    }
    whole
}

fn tokens(facts: &AnswerFacts) -> (Option<u64>, Option<u64>) {
    (facts.input_tokens, facts.output_tokens)
}

fn stream(facts: &AnswerFacts) -> (bool, bool, bool) {
    let StreamFacts { error, finished, ended } = facts.stream.unwrap();
    (error, finished, ended)
}

#[test]
fn a_json_answer_reports_model_and_usage() {
    let facts = read(
        Api::Chat,
        JSON,
        r#"{"model":"m","usage":{"prompt_tokens":5,"total_tokens":13,"completion_tokens":8}}"#,
    );
    assert_eq!(facts.model.as_deref(), Some(b"m".as_slice()));
    assert_eq!(tokens(&facts), (Some(5), Some(8)));
    assert_eq!(facts.stream, None);
}

#[test]
fn usage_counts_at_the_top_only_and_the_last_one_wins() {
    for (body, expected) in [
        (
            r#"{"choices":[{"usage":{"prompt_tokens":1}}],"x":{"usage":{"completion_tokens":2}}}"#,
            (None, None),
        ),
        (
            r#"{"choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":1}}"}}]}"#,
            (None, None),
        ),
        (
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":2},"usage":{"prompt_tokens":3}}"#,
            (Some(3), None),
        ),
        (
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":2},"usage":null}"#,
            (None, None),
        ),
        (
            r#"{"usage":{"prompt_tokens":1,"prompt_tokens":"x","completion_tokens":2}}"#,
            (None, Some(2)),
        ),
        (
            r#"{"usage":{"prompt_tokens":-1,"completion_tokens":2.5}}"#,
            (None, None),
        ),
        (
            r#"{"usage":{"prompt_tokens":12.0,"completion_tokens":null}}"#,
            (Some(12), None),
        ),
        (r#"{"usage":[{"prompt_tokens":1}]}"#, (None, None)),
        (r#"{"usage":{"details":{"prompt_tokens":1}}}"#, (None, None)),
        (r#"{"usage":{"prompt_tokens":5,"completion_tokens":8}"#, (None, None)),
        (r#"{"usage":{"prompt_tokens":5,"completion_tokens":8}}}"#, (None, None)),
        ("", (None, None)),
    ] {
        assert_eq!(tokens(&read(Api::Completions, JSON, body)), expected, "{body}");
    }
}

#[test]
fn what_generates_nothing_has_no_output_tokens() {
    let body = r#"{"model":"m","usage":{"prompt_tokens":5,"total_tokens":5,"completion_tokens":0}}"#;
    assert_eq!(tokens(&read(Api::Embeddings, JSON, body)), (Some(5), None));
    assert_eq!(tokens(&read(Api::Chat, JSON, body)), (Some(5), Some(0)));
}

#[test]
fn the_newer_apis_names_of_the_tokens_are_read_too() {
    let body = r#"{"model":"m","usage":{"input_tokens":5,"output_tokens":8}}"#;
    assert_eq!(tokens(&read(Api::Responses, JSON, body)), (Some(5), Some(8)));
}

#[test]
fn the_answers_own_type_decides_what_it_is() {
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
fn an_encoded_answer_is_not_read() {
    assert!(!AnswerReader::new(Api::Chat, JSON, Some(b"gzip")).wants_more());
    assert!(AnswerReader::new(Api::Chat, JSON, Some(b"Identity")).wants_more());
}

#[test]
fn a_stream_reports_the_usage_that_came_last() {
    let event = |usage: &str| format!("data: {{\"model\":\"m\",\"choices\":[],\"usage\":{usage}}}\n\n");
    let first = event(r#"{"prompt_tokens":5,"completion_tokens":1}"#);
    let last = event(r#"{"prompt_tokens":5,"completion_tokens":8}"#);
    let null = event("null");
    for (body, expected) in [
        (format!("{first}{last}"), (Some(5), Some(8))),
        (
            format!("{first}{first}{last}{last}data: [DONE]\n\n"),
            (Some(5), Some(8)),
        ),
        (format!("{last}{null}data: [DONE]\n\n"), (Some(5), Some(8))),
        (format!("{last}{}", event(r#"{"prompt_tokens":6}"#)), (Some(6), Some(8))),
        (format!("{null}data: [DONE]\n\n"), (None, None)),
        (format!("data: [DONE]\n\n{last}"), (None, None)),
        // An event that is cut off or broken says nothing.
        (format!("{first}{}", &last[..last.len() - 5]), (Some(5), Some(1))),
        (
            format!("{first}data: {{\"usage\":{{\"completion_tokens\":9}}]\n\n{null}"),
            (Some(5), Some(1)),
        ),
        // Two documents in one event are none.
        (format!("data: {{}}\n{first}"), (None, None)),
    ] {
        let facts = read(Api::Chat, SSE, &body);
        assert_eq!(tokens(&facts), expected, "{body}");
    }
}

#[test]
fn a_document_may_lie_on_several_data_lines() {
    let body = "data: {\"model\":\"m\",\ndata: \"usage\":\ndata:{\"prompt_tokens\":5}}\n\n";
    assert_eq!(read(Api::Chat, SSE, body).input_tokens, Some(5));
}

#[test]
fn the_end_of_a_stream_is_known_by_its_marker_or_a_finish_reason() {
    let running = r#"data: {"choices":[{"index":0,"delta":{"content":"finish_reason"},"finish_reason":null}]}"#;
    let finished = r#"data: {"choices":[{"index":1,"delta":{}},{"index":0,"finish_reason":"stop"}]}"#;
    for (body, expected) in [
        (String::new(), (false, false, false)),
        (format!("{running}\n\n"), (false, false, false)),
        (format!("{running}\n\n{finished}\n\n"), (false, true, false)),
        (format!("{running}\n\n{finished}"), (false, true, false)),
        (format!("{running}\n\ndata: [DONE]\n\n"), (false, false, true)),
        ("data:[DONE]".to_owned(), (false, false, true)),
        ("data: [DONE] \n\n".to_owned(), (false, false, true)),
        ("data: [DONE]]\n\n".to_owned(), (false, false, false)),
        ("data: [DONE\n\n".to_owned(), (false, false, false)),
        (": [DONE]\n\nevent: [DONE]\n\n".to_owned(), (false, false, false)),
    ] {
        assert_eq!(stream(&read(Api::Completions, SSE, &body)), expected, "{body}");
    }
}

#[test]
fn an_error_event_is_seen_in_every_form_that_servers_give_it() {
    for (body, error) in [
        (r#"data: {"error":{"message":"x","code":500}}"#, true),
        (r#"data: {"error":"x"}"#, true),
        (r#"data: {"object":"error","message":"x"}"#, true),
        ("event: error\ndata: overloaded", true),
        (r#"data: {"error":null,"choices":[]}"#, false),
        (
            r#"data: {"choices":[{"error":{"message":"x"},"delta":{"content":"\"error\":{}"}}]}"#,
            false,
        ),
        (r#"data: {"object":"chat.completion.chunk"}"#, false),
    ] {
        let body = format!("{body}\n\ndata: [DONE]\n\n");
        assert_eq!(stream(&read(Api::Chat, SSE, &body)), (error, false, true), "{body}");
    }
}

#[test]
fn the_model_of_a_stream_is_known_from_its_first_event_on() {
    let mut reader = AnswerReader::new(Api::Chat, SSE, None);
    reader.feed(b"data: {\"model\":\"a\"");
    assert_eq!(reader.facts().model, None);
    reader.feed(b"}\n\ndata: {\"model\":\"b\"}\n\n");
    assert_eq!(reader.facts().model.as_deref(), Some(b"a".as_slice()));
}

#[test]
fn nothing_is_wanted_after_the_end() {
    let mut reader = AnswerReader::new(Api::Chat, SSE, None);
    reader.feed(b"data: [DONE]\n\n");
    assert!(!reader.wants_more());
    let mut reader = AnswerReader::new(Api::Chat, JSON, None);
    reader.feed(b"not json");
    assert!(!reader.wants_more());
}
