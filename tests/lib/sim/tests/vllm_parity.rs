//! The simulator against a real vLLM: the captured requests are sent again, and the responses must have the same keys in
//! the same order. Errors must be the same bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use infertally_sim::{Sim, SimConfig};
use support::{Response, capture, drain, find, send};

/// A simulator with the limits of the captured server.
async fn sim_like_captured() -> Sim {
    let adapters = vec!["lora-a".to_owned()];
    Sim::start(SimConfig {
        max_model_len: 512,
        adapters,
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

/// The captured response, and the simulator's to the same request.
async fn real_and_simulated(sim: &Sim, name: &str) -> (Response, Response) {
    let request = capture(&format!("{name}.req"));
    let line_end = find(&request, b"\r\n").unwrap();
    let request = [&request[..line_end], b"\r\nconnection: close", &request[line_end..]].concat();
    let captured = Response::parse(capture(&format!("{name}.resp")));
    (captured, Response::parse(drain(send(sim.addr(), &request).await).await))
}

/// JSON text without its values: keys, their order and nulls stay.
fn skeleton(json: &str) -> String {
    let mut out = String::new();
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => text.extend(chars.next()),
                        '"' => break,
                        c => text.push(c),
                    }
                }
                out.push_str(if chars.peek() == Some(&':') { &text } else { "text" });
            }
            '0'..='9' | '-' | '.' => {
                if !out.ends_with('#') {
                    out.push('#');
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// The skeletons of the events, without repetitions: the number of token events may differ.
fn stream_skeleton(response: &Response) -> Vec<String> {
    let mut skeletons: Vec<String> = response.data().iter().map(|data| skeleton(data)).collect();
    skeletons.dedup();
    skeletons
}

#[test]
fn a_skeleton_keeps_keys_order_and_nulls() {
    assert_eq!(
        skeleton(r#"{"a":"x\"y","b":[1.5,-2],"c":null}"#),
        "{a:text,b:[#,#],c:null}"
    );
}

#[tokio::test]
async fn json_responses_have_the_captured_keys_in_order() {
    let sim = sim_like_captured().await;
    for name in [
        "chat_plain",
        "chat_n2",
        "chat_no_model",
        "chat_max_completion_tokens",
        "chat_x_request_id",
        "completions_plain",
        "completions_n2",
        "completions_no_model",
        "completions_prompt_list",
        "completions_prompt_token_ids",
    ] {
        let (real, simulated) = real_and_simulated(&sim, name).await;
        assert_eq!((simulated.status, simulated.complete), (real.status, true), "{name}");
        assert_eq!(simulated.header("content-type"), real.header("content-type"), "{name}");
        assert_eq!(skeleton(&simulated.text()), skeleton(&real.text()), "{name}");
        assert_eq!(
            simulated.json()["usage"]["completion_tokens"],
            real.json()["usage"]["completion_tokens"],
            "{name}"
        );
        assert_eq!(simulated.json()["model"], real.json()["model"], "{name}");
        if name.ends_with("x_request_id") {
            assert_eq!(simulated.json()["id"], real.json()["id"]);
        }
    }
}

#[tokio::test]
async fn streams_have_the_captured_events() {
    let sim = sim_like_captured().await;
    for api in ["chat", "completions"] {
        for variant in [
            "stream",
            "stream_continuous",
            "stream_continuous_only",
            "stream_options_empty",
            "stream_options_null",
            "stream_string_true",
            "stream_usage_false",
            "stream_usage_null",
            "stream_usage_number_1",
            "stream_usage_string_true",
            "stream_usage_true",
            "max_tokens_1_stream_usage",
            "lora_stream_usage",
        ] {
            let name = format!("{api}_{variant}");
            let (real, simulated) = real_and_simulated(&sim, &name).await;
            assert_eq!((simulated.status, simulated.complete), (200, true), "{name}");
            assert_eq!(simulated.header("content-type"), real.header("content-type"), "{name}");
            assert_eq!(stream_skeleton(&simulated), stream_skeleton(&real), "{name}");
        }
        for variant in ["n2_stream_usage", "n2_stream_continuous"] {
            let name = format!("{api}_{variant}");
            let (real, simulated) = real_and_simulated(&sim, &name).await;
            // The captured choices ended one after the other, so only the kinds of events can be compared.
            let kinds = |response: &Response| {
                let mut kinds = stream_skeleton(response);
                kinds.sort();
                kinds.dedup();
                kinds
            };
            assert_eq!(kinds(&simulated), kinds(&real), "{name}");
            let last = |response: &Response| response.events().last().unwrap()["usage"]["completion_tokens"].clone();
            assert_eq!(last(&simulated), last(&real), "{name}");
        }
    }
}

#[tokio::test]
async fn errors_have_the_captured_bytes() {
    let sim = sim_like_captured().await;
    for name in [
        "chat_err_bad_json",
        "chat_err_bad_type",
        "chat_err_content_type",
        "chat_err_max_tokens_too_large",
        "chat_err_missing_prompt",
        "chat_err_unknown_model",
        "chat_err_unknown_model_stream",
        "chat_max_tokens_0",
        "chat_plain_stream_options_no_stream",
        "chat_stream_options_string",
        "chat_stream_usage_string_banana",
        "completions_err_bad_json",
        "completions_err_bad_type",
        "completions_err_content_type",
        "completions_err_max_tokens_too_large",
        "completions_err_missing_prompt",
        "completions_err_unknown_model",
        "completions_plain_stream_options_no_stream",
        "completions_stream_options_string",
        "err_method",
        "err_unknown_path",
        "health",
    ] {
        let (real, simulated) = real_and_simulated(&sim, name).await;
        assert_eq!(
            (simulated.status, simulated.text()),
            (real.status, real.text()),
            "{name}"
        );
        for header in ["content-type", "content-length", "allow", "server", "vary"] {
            assert_eq!(simulated.header(header), real.header(header), "{name}: {header}");
        }
    }
}

#[tokio::test]
async fn loads_and_unloads_have_the_captured_responses() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    for name in [
        "models_before",
        "lora_unload_missing",
        "lora_load_ok",
        "lora_load_duplicate",
        "lora_load_inplace",
        "lora_load_name_of_base",
        "lora_load_empty_field",
        "lora_load_missing_field",
        "lora_load_bad_json",
        "lora_load_second",
        "models_after_lora",
        "lora_unload_base",
        "lora_unload_empty",
        "lora_unload_missing_field",
        "lora_unload_ok",
    ] {
        let (real, simulated) = real_and_simulated(&sim, name).await;
        assert_eq!(
            (simulated.status, simulated.header("content-type")),
            (real.status, real.header("content-type")),
            "{name}"
        );
        if name.starts_with("models") {
            assert_eq!(skeleton(&simulated.text()), skeleton(&real.text()), "{name}");
        } else {
            assert_eq!(simulated.text(), real.text(), "{name}");
        }
    }
    let models = support::get(sim.addr(), "/v1/models").await.json();
    let names: Vec<_> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| (&card["id"], &card["parent"]))
        .collect();
    assert_eq!(
        format!("{names:?}"),
        r#"[(String("tiny"), Null), (String("lora-b"), String("tiny"))]"#
    );
    let (missing, named) = (
        "/v1/load_lora_adapter",
        r#"{"lora_name": "lora-bad", "lora_path": "/missing/lora"}"#,
    );
    let response = support::post(&sim, missing, "", named).await;
    assert_eq!(response.status, 404);
    assert_eq!(
        response.json()["error"]["message"],
        "Loading lora lora-bad failed: No adapter found for /missing/lora"
    );
}
