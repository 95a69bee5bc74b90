//! The requests of each action.

use super::scenario::Scenario;
use crate::lora::action::Action;

#[test]
fn requests_have_the_form_that_vllm_expects() {
    let mut scenario = Scenario::new();
    let text = r#"vLLMLoRAConfig: {ensureExist: {models: [{id: 'a"', source: /a, base-model: tiny}, {id: b, source: /2}]},
        ensureNotExist: {models: [{id: c}]}}"#;
    scenario.yaml(text).lists("b=/1 c");
    let actions = scenario.state.plan(scenario.now());
    let requests = actions.iter().flat_map(Action::requests);
    let requests: Vec<_> = requests
        .map(|request| format!("{} {}", request.path, request.body))
        .collect();
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
    let requests = Action::Replace(spec.clone()).requests();
    let bodies: Vec<_> = requests.iter().map(|request| &*request.body).collect();
    assert_eq!(
        bodies,
        [r#"{"lora_name":"b"}"#, r#"{"lora_name":"b","lora_path":"/2"}"#]
    );
}
