use std::time::Instant;

use super::*;
use crate::lora::config;
use crate::lora::observed::Observed;
use crate::lora::response::{Outcome, Response};

fn response(status: u16, body: &str) -> Response {
    Response {
        status,
        body: body.as_bytes().to_vec(),
    }
}

/// The failure of `sql` after its action has had these responses, on a server that lists `models`.
fn failure_of_sql(lists: &str, models: &str, responses: &[Response]) -> String {
    let now: Instant = tokio::time::Instant::now().into_std();
    let mut state = LoraState::default();
    let yaml = format!("vLLMLoRAConfig: {{{lists}: {{models: [{{id: sql, source: /sql}}]}}}}");
    state.config_accepted(config::parse(yaml.as_bytes()).unwrap().config);
    let list = response(200, &format!(r#"{{"data":[{models}]}}"#));
    let server = state.config().unwrap().servers[0].clone();
    state.polled(&server, Observed::from_list(&Ok(list)), now, 0.0);
    let api = state.api(&server);
    for action in state.plan(&server, now) {
        let mut outcomes = Vec::new();
        for response in responses {
            let request = action.next_request(api, &outcomes).unwrap();
            let outcome = Outcome::of(api, request.operation, &Ok(response.clone()));
            outcomes.push((request.operation, outcome));
        }
        state.action_completed(&server, &action, &outcomes, now, 0.25);
    }
    failure(&state.statuses()[0])
}

#[test]
fn failed_load_has_the_server_error_and_the_time_of_the_retry() {
    let error = response(404, r#"{"error":{"message":"no adapter at /sql"}}"#);
    assert_eq!(
        failure_of_sql("ensureExist", "", &[error]),
        "load failed: 404 no adapter at /sql; retrying in 5 s"
    );
}

#[test]
fn failed_reload_says_that_the_adapter_is_loaded() {
    let loaded = r#"{"id":"sql","parent":"tiny","root":"/old"}"#;
    assert_eq!(
        failure_of_sql("ensureExist", loaded, &[response(500, "")]),
        "reload failed: 500 Internal Server Error; the previous version is loaded; retrying in 5 s"
    );
}

#[test]
fn failed_unload_has_its_operation() {
    let loaded = r#"{"id":"sql","parent":"tiny"}"#;
    assert_eq!(
        failure_of_sql("ensureNotExist", loaded, &[response(500, "")]),
        "unload failed: 500 Internal Server Error; retrying in 5 s"
    );
}

#[test]
fn base_model_is_not_retried() {
    let base = r#"{"id":"sql"}"#;
    let message = "a base model of the server has this id";
    for (list, verb) in [("ensureExist", "loaded"), ("ensureNotExist", "unloaded")] {
        assert_eq!(failure_of_sql(list, base, &[]), format!("cannot be {verb}: {message}"));
    }
}
