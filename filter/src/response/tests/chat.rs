use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn last_usage_of_a_stream_counts() {
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
        // A truncated or malformed event contributes nothing.
        (format!("{first}{}", &last[..last.len() - 5]), (Some(5), Some(1))),
        (
            format!("{first}data: {{\"usage\":{{\"completion_tokens\":9}}]\n\n{null}"),
            (Some(5), Some(1)),
        ),
        // Two documents in one event are malformed.
        (format!("data: {{}}\n{first}"), (None, None)),
    ] {
        let facts = read(Api::Chat, SSE, &body);
        assert_eq!(tokens(&facts), expected, "{body}");
    }
}

#[test]
fn document_may_span_data_lines() {
    let body = "data: {\"model\":\"m\",\ndata: \"usage\":\ndata:{\"prompt_tokens\":5}}\n\n";
    assert_eq!(read(Api::Chat, SSE, body).usage.input, Some(5));
}

#[test]
fn end_marker_and_finish_reason_are_recognized() {
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
fn every_form_of_error_event_is_recognized() {
    for (body, error) in [
        (r#"data: {"error":{"message":"x","code":500}}"#, true),
        (r#"data: {"error":"x"}"#, true),
        (r#"data: {"object":"error","message":"x"}"#, true),
        ("event: error\ndata: overloaded", true),
        // llama.cpp's older form: a field of the event.
        (r#"error: {"code":500,"message":"x"}"#, true),
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
fn model_is_known_after_the_first_event() {
    let mut reader = ResponseReader::new(Api::Chat, SSE, None);
    reader.feed(b"data: {\"model\":\"a\"");
    assert_eq!(reader.facts().model, None);
    reader.feed(b"}\n\ndata: {\"model\":\"b\"}\n\n");
    assert_eq!(reader.facts().model.as_deref(), Some(b"a".as_slice()));
}

#[test]
fn finish_reason_counts_once_per_choice() {
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
fn token_ids_are_counted() {
    let ids = |ids: &str| format!("data: {{\"choices\":[{{\"token_ids\":{ids}}}]}}\n\n");
    let counted = |body: String| read(Api::Completions, SSE, &body).counted_output;
    assert_eq!(counted(ids("[1,2]") + &ids("null") + &ids("[]") + &ids("[3]")), Some(3));
    assert_eq!(counted(ids("[]")), Some(0));
    assert_eq!(counted(ids("null") + "data: {\"prompt_token_ids\":[1,2]}\n\n"), None);
}

#[test]
fn malformed_event_is_reported_and_the_next_one_counts() {
    let body = "data: {\"usage\":{\"prompt_tokens\":1\n\ndata: {\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n";
    let facts = read(Api::Chat, SSE, body);
    assert_eq!(facts.usage.input, Some(5));
    assert_eq!(
        facts.body,
        BodyState::Stream(StreamState {
            error: false,
            done: true,
            finished: false,
            malformed: true
        })
    );
}

#[test]
fn usage_of_single_choices_is_summed_unless_all_choices_are_reported() {
    let choice = |index: usize, usage: &str| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}}}}],\"usage\":{usage}}}\n\n")
    };
    let tokens_of =
        |output: u64| format!(r#"{{"prompt_tokens":5,"completion_tokens":{output},"reasoning_tokens":{output}}}"#);
    let interleaved = [
        choice(0, &tokens_of(1)),
        choice(1, &tokens_of(1)),
        choice(0, &tokens_of(3)),
        choice(1, "null"),
        choice(1, &tokens_of(4)),
    ]
    .concat();
    let facts = read(Api::Chat, SSE, &interleaved);
    assert_eq!(
        (tokens(&facts), facts.usage.reasoning_output),
        ((Some(5), Some(7)), Some(7))
    );
    let all = r#"data: {"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":9}}"#;
    for body in [format!("{interleaved}{all}\n\n"), format!("{all}\n\n{interleaved}")] {
        let facts = read(Api::Completions, SSE, &body);
        assert_eq!(
            (tokens(&facts), facts.usage.reasoning_output),
            ((Some(6), Some(9)), Some(7))
        );
    }
    // The usage of an event with several choices is that of all choices.
    let several = "data: {\"choices\":[{\"index\":0},{\"index\":1}],\"usage\":{\"completion_tokens\":8}}\n\n";
    assert_eq!(
        read(Api::Chat, SSE, &format!("{interleaved}{several}")).usage.output,
        Some(8)
    );
    // Without `n`, no index is needed.
    let single = "data: {\"choices\":[{}],\"usage\":{\"completion_tokens\":8}}\n\n";
    assert_eq!(read(Api::Chat, SSE, &single.repeat(3)).usage.output, Some(8));
}

#[test]
fn output_of_too_many_choices_is_unknown_until_all_are_reported() {
    let mut reader = ResponseReader::new(Api::Chat, SSE, None);
    let mut output = |index: usize| {
        let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":2}"#;
        reader.feed(format!("data: {{\"choices\":[{{\"index\":{index}}}],{usage}}}\n\n").as_bytes());
        reader.facts().usage.output
    };
    assert_eq!((0..128).map(&mut output).last(), Some(Some(256)));
    assert_eq!([output(7), output(128)], [Some(256), None]);
    reader.feed(b"data: {\"choices\":[],\"usage\":{\"completion_tokens\":258}}\n\n");
    assert_eq!(tokens(&reader.facts()), (Some(5), Some(258)));
}

#[test]
fn stream_is_finished_when_every_choice_that_started_is() {
    let event = |choices: &str| format!("data: {{\"choices\":[{choices}]}}\n\n");
    let choice = |index: usize, reason: &str| format!(r#"{{"index":{index},"finish_reason":{reason}}}"#);
    let (zero, one) = (choice(0, "null"), choice(1, "null"));
    for (body, expected) in [
        (event(""), false),
        (event(&zero), false),
        (event(&zero) + &event(&choice(0, "\"stop\"")), true),
        (event(&choice(0, "\"stop\"")), true),
        (event(&format!("{zero},{one}")) + &event(&choice(0, "\"stop\"")), false),
        (
            event(&one) + &event(&choice(0, "\"stop\"")) + &event(&choice(1, "\"length\"")),
            true,
        ),
        (event(r#"{"finish_reason":"stop"}"#) + &event(&zero), true),
        // An incomplete event starts no choice.
        (
            event(&choice(0, "\"stop\"")) + "data: {\"choices\":[{\"index\":1}]",
            true,
        ),
    ] {
        let BodyState::Stream(state) = read(Api::Chat, SSE, &body).body else {
            panic!("{body}");
        };
        assert_eq!(state.finished, expected, "{body}");
    }
}
