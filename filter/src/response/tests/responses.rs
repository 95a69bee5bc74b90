use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn responses_stream_ends_with_its_last_event() {
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
        // The type is only in the `event` field, or only in the document.
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
