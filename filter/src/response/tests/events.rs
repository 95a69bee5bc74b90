use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn error_object_is_an_error_in_streams_of_every_api() {
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
fn first_model_name_counts_in_every_api() {
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
fn type_of_the_document_precedes_the_event_name() {
    for (api, end) in [(Api::Responses, "response.completed"), (Api::Messages, "message_stop")] {
        for (event, (error, done)) in [
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
            let (seen_error, _, seen_done) = stream(&facts);
            assert_eq!((seen_error, seen_done), (error, done), "{api:?} {event}");
        }
    }
}

#[test]
fn malformed_event_contributes_nothing() {
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
        // An event follows, so that anything kept would be committed with it.
        let facts = read(api, SSE, &format!("data: {event}]\n\ndata: {{}}\n\n"));
        let malformed = StreamState {
            malformed: true,
            ..StreamState::default()
        };
        let nothing = ResponseFacts {
            body: BodyState::Stream(malformed),
            ..ResponseFacts::default()
        };
        assert_eq!(facts, nothing, "{api:?}");
        // The same event, complete, contributes values of every kind.
        let facts = read(api, SSE, &format!("data: {event}}}\n\n"));
        assert!(facts.model.is_some() && facts.usage.is_reported(), "{api:?}");
        assert!(facts.finish_reasons.any() && stream(&facts).0, "{api:?}");
    }
}

#[test]
fn event_with_empty_data_is_ignored() {
    for api in [Api::Chat, Api::Responses, Api::Messages] {
        let facts = read(
            api,
            SSE,
            "data:\n\ndata\n\ndata: \n\ndata:\ndata:\n\nevent: message_stop\ndata:\n\n",
        );
        assert_eq!(facts.body, BodyState::Stream(StreamState::default()), "{api:?}");
    }
}
