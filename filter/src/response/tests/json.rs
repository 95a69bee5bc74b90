use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn json_response_reports_model_and_usage() {
    let facts = read(
        Api::Chat,
        JSON,
        r#"{"model":"m","usage":{"prompt_tokens":5,"total_tokens":13,"completion_tokens":8}}"#,
    );
    assert_eq!(facts.model.as_deref(), Some(b"m".as_slice()));
    assert_eq!(tokens(&facts), (Some(5), Some(8)));
    assert_eq!(facts.body, BodyState::Json(JsonState::Complete));
}

#[test]
fn last_top_level_usage_counts() {
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
fn api_without_generation_has_no_output_tokens() {
    let body = r#"{"model":"m","usage":{"prompt_tokens":5,"total_tokens":5,"completion_tokens":0}}"#;
    assert_eq!(tokens(&read(Api::Embeddings, JSON, body)), (Some(5), None));
    assert_eq!(tokens(&read(Api::Chat, JSON, body)), (Some(5), Some(0)));
}

#[test]
fn input_and_output_tokens_are_read() {
    let body = r#"{"model":"m","usage":{"input_tokens":5,"output_tokens":8}}"#;
    assert_eq!(tokens(&read(Api::Responses, JSON, body)), (Some(5), Some(8)));
}

#[test]
fn finish_reasons_are_counted_in_every_api() {
    for (api, body, expected) in [
        (
            Api::Chat,
            r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"},{"finish_reason":"stop"}]}"#,
            vec![("stop", 2), ("length", 1)],
        ),
        (
            Api::Completions,
            r#"{"choices":[{"finish_reason":null},{"finish_reason":"unheard_of"},{}]}"#,
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
fn cached_and_reasoning_tokens_are_read_in_every_api() {
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
        // SGLang's form.
        (
            Api::Chat,
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":null,"reasoning_tokens":2,"completion_tokens_details":{"accepted_prediction_tokens":1}}}"#,
            (None, Some(2)),
        ),
        (
            Api::Chat,
            r#"{"usage":{"completion_tokens_details":{"reasoning_tokens":3},"reasoning_tokens":2,"x":{"reasoning_tokens":7}}}"#,
            (None, Some(3)),
        ),
        // A count under another name stays.
        (
            Api::Chat,
            r#"{"usage":{"cache_read_input_tokens":5,"prompt_tokens_details":null,"reasoning_tokens":2,"completion_tokens_details":null}}"#,
            (Some(5), Some(2)),
        ),
        (
            Api::Embeddings,
            r#"{"usage":{"reasoning_tokens":2,"completion_tokens_details":{"reasoning_tokens":2}}}"#,
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
fn document_may_report_a_failure() {
    for (api, body, failed) in [
        (
            Api::Responses,
            r#"{"status":"failed","usage":{"input_tokens":5}}"#,
            true,
        ),
        (Api::Responses, r#"{"status":"failed","status":"completed"}"#, false),
        (Api::Responses, r#"{"status":"incomplete","error":null}"#, false),
        (Api::Responses, r#"{"status":"error"}"#, false),
        (Api::Responses, r#"{"output":[{"status":"failed","error":{}}]}"#, false),
        (Api::Chat, r#"{"status":"failed"}"#, false),
        (Api::Chat, r#"{"error":{"message":"x","code":500}}"#, true),
        (Api::Embeddings, r#"{"error":{}}"#, true),
        (Api::Chat, r#"{"error":{},"error":null}"#, false),
        (Api::Chat, r#"{"error":null}"#, false),
        (Api::Chat, r#"{"error":"x"}"#, false),
        (Api::Chat, r#"{"error":[]}"#, false),
        (Api::Chat, r#"{"choices":[{"error":{}}]}"#, false),
    ] {
        let expected = if failed { JsonState::Failed } else { JsonState::Complete };
        assert_eq!(read(api, JSON, body).body, BodyState::Json(expected), "{api:?} {body}");
    }
    let facts = read(
        Api::Responses,
        JSON,
        r#"{"model":"m","status":"failed","usage":{"input_tokens":5}}"#,
    );
    assert_eq!(
        (facts.model.as_deref(), facts.usage.input),
        (Some(b"m".as_slice()), Some(5))
    );
    assert_eq!(reasons(&facts), [("error", 1)]);
}

#[test]
fn duration_of_audio_is_read_in_place_of_tokens() {
    for (usage, seconds) in [
        (r#"{"type":"duration","seconds":27}"#, Some(27)),
        (r#"{"seconds":27,"type":"duration"}"#, Some(27)),
        (r#"{"type":"duration","seconds":27.01}"#, Some(28)),
        (r#"{"type":"duration","seconds":0}"#, Some(0)),
        (r#"{"type":"duration","seconds":-1}"#, None),
        (r#"{"type":"duration","seconds":1e300}"#, None),
        (r#"{"type":"duration","seconds":"27"}"#, None),
        (r#"{"type":"duration"}"#, None),
        (r#"{"seconds":27}"#, None),
        (r#"{"type":"tokens","seconds":27}"#, None),
    ] {
        let facts = read(Api::Audio, JSON, &format!(r#"{{"text":"a","usage":{usage}}}"#));
        assert_eq!(facts.usage.audio_seconds, seconds, "{usage}");
        assert!(!facts.usage.is_reported());
    }
    let tokens_usage = r#"{"usage":{"type":"tokens","input_tokens":14,"output_tokens":45}}"#;
    assert_eq!(tokens(&read(Api::Audio, JSON, tokens_usage)), (Some(14), Some(45)));
}
