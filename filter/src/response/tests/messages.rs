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
        ((Some(5), Some(8)), Some(2))
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
        ((Some(6), Some(9)), vec![("stop", 1)])
    );
    // Truncated: the placeholder in `message_start` does not count.
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
