//! The requests of each action.

use std::sync::Arc;

use super::scenario::{Scenario, error, ok, reply};
use crate::lora::action::Action;
use crate::lora::api::LoraApi;
use crate::lora::config::AdapterSpec;
use crate::lora::request::Request;
use crate::lora::response::{Outcome, Reply};

#[test]
fn requests_have_the_form_that_vllm_expects() {
    let mut scenario = Scenario::new();
    let text = r#"vLLMLoRAConfig: {ensureExist: {models: [{id: 'a"', source: /a, base-model: tiny}, {id: b, source: /2}]},
        ensureNotExist: {models: [{id: c}]}}"#;
    scenario.yaml(text).lists("b=/1 c");
    let actions = scenario.plan();
    let requests = actions
        .iter()
        .map(|action| action.next_request(LoraApi::Vllm, &[]).unwrap());
    let requests: Vec<_> = requests.map(line).collect();
    assert_eq!(
        requests,
        [
            r#"/v1/load_lora_adapter {"lora_name":"a\"","lora_path":"/a","base_model_name":"tiny"}"#,
            r#"/v1/load_lora_adapter {"lora_name":"b","lora_path":"/2","load_inplace":true}"#,
            r#"/v1/unload_lora_adapter {"lora_name":"c"}"#,
        ]
    );
    let Action::Reload(spec) = &actions[1] else {
        panic!("{actions:?}");
    };
    let previous = Some(AdapterSpec {
        source: Arc::from("/1"),
        ..spec.clone()
    });
    let (spec, without) = (spec.clone(), None);
    let replace = |previous| Action::Replace {
        spec: spec.clone(),
        previous,
    };
    let failed = || error(404, "No adapter found for /2");
    assert_eq!(
        requests_of(&replace(previous.clone()), LoraApi::Vllm, &[ok(), failed()]),
        [
            r#"/v1/unload_lora_adapter {"lora_name":"b"}"#,
            r#"/v1/load_lora_adapter {"lora_name":"b","lora_path":"/2"}"#,
            r#"/v1/load_lora_adapter {"lora_name":"b","lora_path":"/1"}"#,
        ]
    );
    // Nothing follows a success, an unload that failed, or a load of an adapter that is loaded.
    assert_eq!(
        requests_of(&replace(previous.clone()), LoraApi::Vllm, &[ok(), ok()]).len(),
        2
    );
    assert_eq!(
        requests_of(&replace(previous.clone()), LoraApi::Vllm, &[failed()]).len(),
        1
    );
    let duplicate = error(400, "The lora adapter 'b' has already been loaded.");
    assert_eq!(
        requests_of(&replace(previous), LoraApi::Vllm, &[ok(), duplicate]).len(),
        2
    );
    assert_eq!(
        requests_of(&replace(without), LoraApi::Vllm, &[ok(), failed()]).len(),
        2
    );
}

#[test]
fn requests_have_the_form_that_sglang_expects() {
    let mut scenario = Scenario::sglang();
    let text = r#"vLLMLoRAConfig: {ensureExist: {models: [{id: a, source: /a, base-model: tiny}, {id: b, source: /2}]},
        ensureNotExist: {models: [{id: c}]}}"#;
    scenario.yaml(text).lists("b=/1 c");
    assert_eq!(scenario.api(), LoraApi::Sglang);
    let actions = scenario.plan();
    let failed = || reply(400, r#"{"success":false,"error_message":"[Errno 2] No such file"}"#);
    let requests = actions
        .iter()
        .flat_map(|action| requests_of(action, LoraApi::Sglang, &[ok(), failed()]));
    assert_eq!(
        requests.collect::<Vec<_>>(),
        [
            r#"/load_lora_adapter {"lora_name":"a","lora_path":"/a"}"#,
            r#"/unload_lora_adapter {"lora_name":"b"}"#,
            r#"/load_lora_adapter {"lora_name":"b","lora_path":"/2"}"#,
            r#"/load_lora_adapter {"lora_name":"b","lora_path":"/1"}"#,
            r#"/unload_lora_adapter {"lora_name":"c"}"#,
        ]
    );
}

/// The requests of an action that are sent if the first ones have these replies.
fn requests_of(action: &Action, api: LoraApi, replies: &[Reply]) -> Vec<String> {
    let mut outcomes = Vec::new();
    let mut replies = replies.iter();
    let mut requests = Vec::new();
    while let Some(request) = action.next_request(api, &outcomes) {
        let operation = request.operation;
        requests.push(line(request));
        let Some(reply) = replies.next() else { break };
        outcomes.push((operation, Outcome::of(api, operation, reply)));
    }
    requests
}

fn line(request: Request) -> String {
    format!("{} {}", request.path, request.body)
}
