use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn messages_stream_counts_output_of_message_delta() {
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
        ((Some(7), Some(8)), Some(2))
    );
    assert_eq!(
        (stream(&facts), reasons(&facts)),
        ((false, true, true), vec![("stop", 1)])
    );
    assert_eq!(facts.model.as_deref(), Some(b"m".as_slice()));
    // Output is cumulative, and input may be repeated or first reported here.
    let repeated = [
        &*start,
        &end(r#"{"output_tokens":4}"#),
        &end(r#"{"input_tokens":6,"output_tokens":9}"#),
        &stop,
    ]
    .concat();
    let facts = read(Api::Messages, SSE, &repeated);
    assert_eq!(
        (tokens(&facts), reasons(&facts)),
        ((Some(8), Some(9)), vec![("stop", 1)])
    );
    // Truncated: the placeholder in `message_start` does not count.
    let facts = read(Api::Messages, SSE, &[&*start, &delta].concat());
    assert_eq!(
        (tokens(&facts), stream(&facts)),
        ((Some(7), None), (false, false, false))
    );
    let failed = event("error", r#","error":{"type":"overloaded_error"}"#);
    assert_eq!(
        stream(&read(Api::Messages, SSE, &[&*start, &failed].concat())),
        (true, false, false)
    );
}

#[test]
fn prompt_of_a_message_includes_its_cached_parts() {
    let events = |start: &str, delta: &str| {
        format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"usage\":{start}}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{}},\"usage\":{delta}}}\n\n"
        )
    };
    for (start, delta, input, cached) in [
        // vLLM reports the whole prompt first and its parts at the end.
        (
            r#"{"input_tokens":274}"#,
            r#"{"input_tokens":18,"cache_read_input_tokens":256,"output_tokens":8}"#,
            Some(274),
            Some(256),
        ),
        (
            r#"{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000}"#,
            r#"{"output_tokens":8}"#,
            Some(1103),
            Some(1000),
        ),
        (
            r#"{"input_tokens":3,"cache_creation_input_tokens":100}"#,
            r#"{"cache_creation_input_tokens":null,"output_tokens":8}"#,
            Some(103),
            None,
        ),
        // A zero at the start is a placeholder, at the end a count.
        (r#"{"input_tokens":0}"#, r#"{"output_tokens":8}"#, None, None),
        (
            r#"{"input_tokens":0}"#,
            r#"{"input_tokens":9,"output_tokens":8}"#,
            Some(9),
            None,
        ),
        (
            r#"{"input_tokens":0}"#,
            r#"{"input_tokens":0,"cache_read_input_tokens":16}"#,
            Some(16),
            Some(16),
        ),
        // Without the uncached part the sum is unknown.
        ("{}", r#"{"cache_read_input_tokens":16}"#, None, Some(16)),
    ] {
        let facts = read(Api::Messages, SSE, &events(start, delta));
        assert_eq!(
            (facts.usage.input, facts.usage.cached_input),
            (input, cached),
            "{start} {delta}"
        );
    }
    let usage =
        r#"{"input_tokens":18,"cache_read_input_tokens":256,"cache_creation_input_tokens":1,"output_tokens":8}"#;
    let document = format!(r#"{{"usage":{usage}}}"#);
    assert_eq!(read(Api::Messages, JSON, &document).usage.input, Some(275));
    // In the other APIs the prompt includes them already.
    assert_eq!(read(Api::Chat, JSON, &document).usage.input, Some(18));
}
