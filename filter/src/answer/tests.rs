use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
    (facts.usage.input, facts.usage.output)
}

fn stream(facts: &AnswerFacts) -> (bool, bool, bool) {
    match facts.reading {
        Reading::Stream(StreamFacts {
            error,
            ended,
            broken: _,
        }) => (error, facts.finish_reasons.any(), ended),
        other => panic!("{other:?}"),
    }
}

fn reasons(facts: &AnswerFacts) -> Vec<(&'static str, u32)> {
    facts
        .finish_reasons
        .iter()
        .map(|(reason, count)| (reason.as_str(), count))
        .collect()
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
    assert_eq!(facts.reading, Reading::Json(JsonFacts::Whole));
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
fn a_coding_that_can_not_be_undone_is_told() {
    for coding in ["br", "zstd", "gzip, br", "compress"] {
        let reader = AnswerReader::new(Api::Chat, JSON, Some(coding.as_bytes()));
        assert!(!reader.wants_more());
        assert_eq!(reader.facts().reading, Reading::Encoded);
    }
    assert!(AnswerReader::new(Api::Chat, JSON, Some(b"Identity")).wants_more());
    assert_eq!(
        AnswerReader::new(Api::Chat, Some(b"text/plain"), Some(b"gzip"))
            .facts()
            .reading,
        Reading::Unreadable
    );
}

#[test]
fn why_the_choices_ended_is_counted_in_every_api() {
    for (api, body, expected) in [
        (
            Api::Chat,
            r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"},{"finish_reason":"stop"}]}"#,
            vec![("stop", 2), ("length", 1)],
        ),
        (
            Api::Completions,
            r#"{"choices":[{"finish_reason":null},{"finish_reason":"odd"},{}]}"#,
            vec![("other", 1)],
        ),
        (
            Api::Chat,
            r#"{"choices":[{"finish_reason":"stop"}],"choices":[{"finish_reason":"abort"}]}"#,
            vec![("abort", 1)],
        ),
        (
            Api::Chat,
            r#"{"choices":[{"finish_reason":"stop","finish_reason":"error"}],"status":"completed"}"#,
            vec![("error", 1)],
        ),
        (
            Api::Chat,
            r#"{"choices":[{"message":{"finish_reason":"stop"},"finish_reason":"tool_calls"}]}"#,
            vec![("tool_calls", 1)],
        ),
        (
            Api::Responses,
            r#"{"status":"completed","incomplete_details":null}"#,
            vec![("stop", 1)],
        ),
        (
            Api::Responses,
            r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
            vec![("length", 1)],
        ),
        (Api::Responses, r#"{"status":"in_progress"}"#, vec![]),
        (Api::Messages, r#"{"stop_reason":"tool_use"}"#, vec![("tool_calls", 1)]),
        (
            Api::Messages,
            r#"{"stop_reason":"refusal"}"#,
            vec![("content_filter", 1)],
        ),
        (
            Api::Embeddings,
            r#"{"choices":[{"finish_reason":"stop"}],"status":"completed"}"#,
            vec![],
        ),
    ] {
        assert_eq!(reasons(&read(api, JSON, body)), expected, "{body}");
    }
}

#[test]
fn cached_and_reasoning_tokens_are_read_where_each_api_has_them() {
    for (api, body, expected) in [
        (
            Api::Chat,
            r#"{"usage":{"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
            (Some(3), Some(2)),
        ),
        (
            Api::Chat,
            r#"{"usage":{"prompt_tokens_details":null,"completion_tokens_details":{}}}"#,
            (None, None),
        ),
        (
            Api::Chat,
            r#"{"usage":{"prompt_tokens_details":{"cached_tokens":3},"prompt_tokens_details":null}}"#,
            (None, None),
        ),
        (
            Api::Chat,
            r#"{"usage":{"prompt_tokens_details":{"cached_tokens":3},"prompt_tokens_details":{},"completion_tokens_details":{"reasoning_tokens":2},"completion_tokens_details":{}}}"#,
            (None, None),
        ),
        (
            Api::Responses,
            r#"{"usage":{"input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":2}}}"#,
            (Some(3), Some(2)),
        ),
        (
            Api::Messages,
            r#"{"usage":{"input_tokens":1,"cache_read_input_tokens":3,"cache_creation_input_tokens":9}}"#,
            (Some(3), None),
        ),
        (
            Api::Embeddings,
            r#"{"usage":{"completion_tokens_details":{"reasoning_tokens":2}}}"#,
            (None, None),
        ),
    ] {
        let facts = read(api, JSON, body);
        assert_eq!(
            (facts.usage.cached_input, facts.usage.reasoning_output),
            expected,
            "{body}"
        );
    }
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
    assert_eq!(read(Api::Chat, SSE, body).usage.input, Some(5));
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
        ("data:          [DONE]\n\n".to_owned(), (false, false, true)),
        ("data: [DONE]         x\n\n".to_owned(), (false, false, false)),
        ("data: [DO NE]\n\n".to_owned(), (false, false, false)),
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
fn an_error_object_is_an_error_in_every_apis_stream() {
    for api in [Api::Chat, Api::Completions, Api::Responses, Api::Messages] {
        for (body, error) in [
            ("data: {\"error\":{\"message\":\"x\",\"code\":500}}\n\n", true),
            ("data: {\"error\":null}\n\n", false),
            (
                "data: {\"response\":{\"error\":{}},\"delta\":{\"error\":\"x\"}}\n\n",
                false,
            ),
        ] {
            let body = format!("{body}data: [DONE]\n\n");
            assert_eq!(stream(&read(api, SSE, &body)), (error, false, true), "{api:?} {body}");
        }
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
fn the_model_that_an_event_names_first_counts_in_every_api() {
    for (api, above) in [
        (Api::Chat, ""),
        (Api::Responses, "response"),
        (Api::Messages, "message"),
    ] {
        let event = |model: &str| match above {
            "" => format!("data: {{\"model\":{model}}}\n\n"),
            _ => format!("data: {{\"{above}\":{{\"model\":{model}}}}}\n\n"),
        };
        let body = [
            event("null"),
            event("\"\""),
            event("\"a\""),
            event("\"b\""),
            event("null"),
        ]
        .concat();
        assert_eq!(read(api, SSE, &body).model.as_deref(), Some(b"a".as_slice()), "{api:?}");
    }
}

#[test]
fn an_event_is_of_the_kind_that_its_document_or_else_its_name_says() {
    for (api, end) in [(Api::Responses, "response.completed"), (Api::Messages, "message_stop")] {
        for (event, (error, ended)) in [
            (format!("event: {end}\ndata: {{}}"), (false, true)),
            (format!("data: {{\"type\":\"{end}\"}}"), (false, true)),
            (format!("event: {end}\ndata: {{\"type\":\"ping\"}}"), (false, true)),
            (format!("event: ping\ndata: {{\"type\":\"{end}\"}}"), (false, true)),
            (format!("data: {{\"type\":\"{end}\",\"type\":null}}"), (false, false)),
            (
                format!("data: {{\"type\":\"{end}\",\"type\":\"error\"}}"),
                (true, false),
            ),
            ("event: error\ndata: {}".to_owned(), (true, false)),
            ("event: ping\ndata: {\"type\":\"error\"}".to_owned(), (true, false)),
        ] {
            let facts = read(api, SSE, &format!("{event}\n\n"));
            let (seen_error, _, seen_end) = stream(&facts);
            assert_eq!((seen_error, seen_end), (error, ended), "{api:?} {event}");
        }
    }
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

#[test]
fn each_choice_of_a_stream_gives_its_reason_once() {
    let choice = |index: usize, reason: &str| format!(r#"{{"index":{index},"finish_reason":{reason}}}"#);
    let event = |choices: &[String]| format!("data: {{\"choices\":[{}]}}\n\n", choices.join(","));
    let body = [
        event(&[choice(0, "null"), choice(1, "\"stop\"")]),
        event(&[choice(1, "\"stop\"")]),
        event(&[choice(0, "\"length\""), choice(2, "\"stop\"")]),
        "data: [DONE]\n\n".to_owned(),
    ];
    assert_eq!(
        reasons(&read(Api::Chat, SSE, &body.concat())),
        [("stop", 2), ("length", 1)]
    );
}

#[test]
fn token_ids_are_counted_where_the_server_sends_them() {
    let ids = |ids: &str| format!("data: {{\"choices\":[{{\"token_ids\":{ids}}}]}}\n\n");
    let counted = |body: String| read(Api::Completions, SSE, &body).counted_output;
    assert_eq!(counted(ids("[1,2]") + &ids("null") + &ids("[]") + &ids("[3]")), Some(3));
    assert_eq!(counted(ids("[]")), Some(0));
    assert_eq!(counted(ids("null") + "data: {\"prompt_token_ids\":[1,2]}\n\n"), None);
}

#[test]
fn a_responses_stream_ends_with_its_last_event() {
    let event = |kind: &str, response: &str| {
        format!("event: {kind}\ndata: {{\"response\":{response},\"type\":\"{kind}\"}}\n\n")
    };
    let created = event(
        "response.created",
        r#"{"model":"m","status":"in_progress","usage":null,"incomplete_details":null}"#,
    );
    let usage = r#""usage":{"input_tokens":5,"output_tokens":8,"input_tokens_details":{"cached_tokens":2}}"#;
    let delta = "event: response.output_text.delta\ndata: {\"delta\":\"response.completed\",\"type\":\"response.output_text.delta\"}\n\n";
    for (last, finish, error) in [
        (
            event("response.completed", &format!(r#"{{"status":"completed",{usage}}}"#)),
            "stop",
            false,
        ),
        (
            event(
                "response.completed",
                &format!(r#"{{"status":"incomplete","incomplete_details":{{"reason":"max_output_tokens"}},{usage}}}"#),
            ),
            "length",
            false,
        ),
        (
            event(
                "response.incomplete",
                &format!(r#"{{"incomplete_details":{{"reason":"content_filter"}},{usage}}}"#),
            ),
            "content_filter",
            false,
        ),
        (
            event("response.failed", &format!(r#"{{"status":"failed",{usage}}}"#)),
            "error",
            true,
        ),
        // Only the field says what it is, or only the document.
        (
            format!("event: response.completed\ndata: {{\"response\":{{{usage}}}}}\n\n"),
            "stop",
            false,
        ),
        (
            format!("data: {{\"type\":\"response.completed\",\"response\":{{{usage}}}}}\n\n"),
            "stop",
            false,
        ),
    ] {
        let facts = read(Api::Responses, SSE, &format!("{created}{delta}{last}"));
        assert_eq!(tokens(&facts), (Some(5), Some(8)), "{last}");
        assert_eq!(facts.usage.cached_input, Some(2));
        assert_eq!(
            (stream(&facts), reasons(&facts)),
            ((error, true, true), vec![(finish, 1)]),
            "{last}"
        );
        assert_eq!(facts.model.as_deref(), Some(b"m".as_slice()));
    }
    let facts = read(Api::Responses, SSE, &format!("{created}{delta}"));
    assert_eq!((tokens(&facts), stream(&facts)), ((None, None), (false, false, false)));
    let facts = read(
        Api::Responses,
        SSE,
        &format!("{created}data: {{\"type\":\"error\",\"message\":\"x\"}}\n\n"),
    );
    assert_eq!(stream(&facts), (true, false, false));
}

#[test]
fn a_messages_stream_counts_its_output_at_its_end() {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let start = event(
        "message_start",
        r#","message":{"model":"m","stop_reason":null,"usage":{"input_tokens":5,"cache_read_input_tokens":2,"output_tokens":1}}"#,
    );
    let delta = event(
        "content_block_delta",
        r#","delta":{"type":"text_delta","text":"message_stop"}"#,
    );
    let end = |usage: &str| {
        event(
            "message_delta",
            &format!(r#","delta":{{"stop_reason":"end_turn"}},"usage":{usage}"#),
        )
    };
    let stop = event("message_stop", "");
    let facts = read(
        Api::Messages,
        SSE,
        &[
            &*start,
            &event("ping", ""),
            &delta,
            &end(r#"{"output_tokens":8}"#),
            &stop,
        ]
        .concat(),
    );
    assert_eq!(
        (tokens(&facts), facts.usage.cached_input),
        ((Some(5), Some(8)), Some(2))
    );
    assert_eq!(
        (stream(&facts), reasons(&facts)),
        ((false, true, true), vec![("stop", 1)])
    );
    assert_eq!(facts.model.as_deref(), Some(b"m".as_slice()));
    // Cumulative, and the input may be told again or only now.
    let twice = [
        &*start,
        &end(r#"{"output_tokens":4}"#),
        &end(r#"{"input_tokens":6,"output_tokens":9}"#),
        &stop,
    ]
    .concat();
    let facts = read(Api::Messages, SSE, &twice);
    assert_eq!(
        (tokens(&facts), reasons(&facts)),
        ((Some(6), Some(9)), vec![("stop", 1)])
    );
    // Broken off: the place holder at the start is no count.
    let facts = read(Api::Messages, SSE, &[&*start, &delta].concat());
    assert_eq!(
        (tokens(&facts), stream(&facts)),
        ((Some(5), None), (false, false, false))
    );
    let failed = event("error", r#","error":{"type":"overloaded_error"}"#);
    assert_eq!(
        stream(&read(Api::Messages, SSE, &[&*start, &failed].concat())),
        (true, false, false)
    );
}

#[test]
fn an_event_that_is_broken_says_nothing_at_all() {
    for (api, event) in [
        (
            Api::Chat,
            r#"{"model":"x","error":{},"choices":[{"finish_reason":"stop","token_ids":[1]}],"usage":{"prompt_tokens":1}"#,
        ),
        (
            Api::Responses,
            r#"{"type":"response.completed","error":{},"response":{"model":"x","status":"completed","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":1}}"#,
        ),
        (
            Api::Messages,
            r#"{"type":"message_stop","error":{},"message":{"model":"x","usage":{"input_tokens":1}},"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}"#,
        ),
    ] {
        // The next event takes back nothing, and would take over all that was kept.
        let facts = read(api, SSE, &format!("data: {event}]\n\ndata: {{}}\n\n"));
        let broken = StreamFacts {
            broken: true,
            ..StreamFacts::default()
        };
        let nothing = AnswerFacts {
            reading: Reading::Stream(broken),
            ..AnswerFacts::default()
        };
        assert_eq!(facts, nothing, "{api:?}");
        // The same event whole says something of each kind.
        let facts = read(api, SSE, &format!("data: {event}}}\n\n"));
        assert!(facts.model.is_some() && facts.usage.is_reported(), "{api:?}");
        assert!(facts.finish_reasons.any() && stream(&facts).0, "{api:?}");
    }
}

#[test]
fn an_event_that_is_no_json_is_told_and_the_next_one_counts() {
    let body = "data: {\"usage\":{\"prompt_tokens\":1\n\ndata: {\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n";
    let facts = read(Api::Chat, SSE, body);
    assert_eq!(facts.usage.input, Some(5));
    assert_eq!(
        facts.reading,
        Reading::Stream(StreamFacts {
            error: false,
            ended: true,
            broken: true
        })
    );
}
