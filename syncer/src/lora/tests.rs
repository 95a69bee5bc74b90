//! Scenarios: what is configured, what the server holds and answers, and the exact calls and the exact page at each step.

mod failures;
mod scenario;
mod sources;

use scenario::{Scenario, error, ok, refused, status};

use super::request::Call;
use super::response::Answer;

/// The guide's reference has no series for an adapter until it is loaded, so that nothing tells of one that never is.
#[test]
fn what_is_wanted_is_told_from_the_first_pass_on_and_loaded_in_the_file_s_order() {
    let mut scenario = Scenario::new();
    scenario
        .shows("")
        .is_ready(Err("there is no good configuration yet"))
        .file("+b=/b +a=/a -old")
        .is_ready(Err("the server was not asked yet"))
        .plans(&[])
        .stands("a", 0, "pending")
        .holds("old other")
        .plans(&["load b from /b", "load a from /a", "unload old"])
        .shows(
            r#"
            adapter_status{adapter_name="b"} 0
            adapter_status{adapter_name="a"} 0
            adapter_status{adapter_name="old"} 1
            adapter_desired{adapter_name="b"} 1
            adapter_desired{adapter_name="a"} 1
            adapter_desired{adapter_name="old"} 0
            adapter_info{adapter_name="b",reason="loading",source="/b"} 1
            adapter_info{adapter_name="a",reason="loading",source="/a"} 1
            adapter_info{adapter_name="old",reason="excluded",source=""} 1
            config_valid 1
            "#,
        )
        .is_ready(Err(
            "3 of 3 adapters are not as configured: b (loading), a (loading), old (excluded)",
        ))
        .answers("a", &[error(404, "Loading lora a failed: No adapter found for /a")])
        .answers("b", &[ok()])
        .answers("old", &[ok()])
        // Its word is not yet the deed.
        .stands("b", 0, "loading")
        .stands("old", 1, "excluded")
        .holds("other b=/b")
        .by_the_clock()
        .is_ready(Err("1 of 3 adapters are not as configured: a (load_failed)"))
        .shows(
            r#"
            adapter_status{adapter_name="b"} 1
            adapter_status{adapter_name="a"} 0
            adapter_status{adapter_name="old"} 0
            adapter_desired{adapter_name="b"} 1
            adapter_desired{adapter_name="a"} 1
            adapter_desired{adapter_name="old"} 0
            adapter_info{adapter_name="b",reason="loaded",source="/b"} 1
            adapter_info{adapter_name="a",reason="load_failed",source="/a"} 1
            adapter_info{adapter_name="old",reason="excluded",source=""} 1
            operations_total{operation="load",result="load_failed"} 1
            operations_total{operation="load",result="ok"} 1
            operations_total{operation="unload",result="ok"} 1
            config_valid 1
            "#,
        )
        .at(5)
        .holds("other b=/b")
        .plans(&["load a from /a"])
        .answers("a", &[ok()])
        .holds("other b=/b a=/a")
        .by_the_clock()
        .is_ready(Ok(()))
        .shows(
            r#"
            adapter_status{adapter_name="b"} 1
            adapter_status{adapter_name="a"} 1
            adapter_status{adapter_name="old"} 0
            adapter_desired{adapter_name="b"} 1
            adapter_desired{adapter_name="a"} 1
            adapter_desired{adapter_name="old"} 0
            adapter_info{adapter_name="b",reason="loaded",source="/b"} 1
            adapter_info{adapter_name="a",reason="loaded",source="/a"} 1
            adapter_info{adapter_name="old",reason="excluded",source=""} 1
            operations_total{operation="load",result="load_failed"} 1
            operations_total{operation="load",result="ok"} 2
            operations_total{operation="unload",result="ok"} 1
            last_success_timestamp_seconds 1767225605
            config_valid 1
            "#,
        )
        .at(10)
        .holds("other b=/b a=/a")
        .plans(&[]);
}

/// The reference keeps 1 for ever.
#[test]
fn an_adapter_that_a_restart_lost_falls_to_0_and_is_loaded_again() {
    Scenario::new()
        .file("+a=/a")
        .holds("")
        .plans(&["load a from /a"])
        .answers("a", &[ok()])
        .holds("a=/a")
        .stands("a", 1, "loaded")
        .at(5)
        .lists(refused())
        .plans(&[])
        .stands("a", 0, "unreachable")
        .is_ready(Err("the server cannot be asked: connection refused"))
        .at(10)
        .holds("")
        .stands("a", 0, "pending")
        .plans(&["load a from /a"])
        .answers("a", &[ok()])
        .holds("a=/a")
        .stands("a", 1, "loaded");
}

#[test]
fn where_a_lost_adapter_came_from_is_forgotten() {
    Scenario::new()
        .file("+a=/2")
        .holds("")
        .plans(&["load a from /2"])
        .answers("a", &[ok()])
        .holds("a=/2")
        .at(5)
        .holds("")
        .at(10)
        // Whoever started the server again gave it one of this name.
        .holds("a=/1")
        .stands("a", 1, "pending")
        .plans(&["reload a from /2"]);
}

/// The reference takes a failed list for an empty one.
#[test]
fn nothing_follows_from_a_server_that_cannot_be_asked() {
    for (answer, reason) in [
        (refused(), "unreachable"),
        (Answer::Timeout, "timeout"),
        (status(401, ""), "unauthorized"),
        (status(500, ""), "unreachable"),
        (status(200, "{"), "unreachable"),
    ] {
        Scenario::new()
            .file("+a=/a +b=/b -c +d=/d -d")
            .holds("a=/a c")
            .lists(answer)
            .plans(&[])
            .stands("a", 0, reason)
            .stands("b", 0, reason)
            .stands("c", 0, reason)
            .stands("d", 0, reason);
    }
}

#[test]
fn what_stands_in_both_lists_or_in_none_is_left_alone() {
    Scenario::new()
        .file("+a=/new +b=/b -a -b")
        .holds("a=/old stranger")
        .plans(&[])
        .is_ready(Ok(()))
        .shows(
            r#"
            adapter_status{adapter_name="a"} 1
            adapter_status{adapter_name="b"} 0
            adapter_info{adapter_name="a",reason="conflict",source=""} 1
            adapter_info{adapter_name="b",reason="conflict",source=""} 1
            config_valid 1
            "#,
        );
}

#[test]
fn a_base_model_is_never_touched() {
    Scenario::new()
        .file("-tiny")
        .holds("")
        .plans(&[])
        .stands("tiny", 0, "unload_failed")
        .file("+tiny=/t")
        .holds("")
        .plans(&[])
        .stands("tiny", 0, "load_rejected");
}

#[test]
fn an_adapter_that_leaves_both_lists_loses_its_series_and_stays_loaded() {
    Scenario::new()
        .file("+a=/a +b=/b -c")
        .holds("a=/a b=/b")
        .plans(&[])
        .file("+b=/b")
        .holds("a=/a b=/b")
        .plans(&[])
        .shows(
            r#"
            adapter_status{adapter_name="b"} 1
            adapter_desired{adapter_name="b"} 1
            adapter_info{adapter_name="b",reason="loaded",source="/b"} 1
            config_valid 1
            "#,
        );
}

#[test]
fn a_bad_file_keeps_the_last_good_one_in_force() {
    Scenario::new()
        .yaml("vLLMLoRAConfig: [")
        .shows("config_valid 0")
        .is_ready(Err("there is no good configuration yet"))
        .holds("a")
        .plans(&[])
        .file("+a=/a")
        .holds("")
        .yaml("")
        .plans(&["load a from /a"])
        .shows(
            r#"
            adapter_status{adapter_name="a"} 0
            adapter_desired{adapter_name="a"} 1
            adapter_info{adapter_name="a",reason="loading",source="/a"} 1
            config_valid 0
            "#,
        )
        .file("+a=/a")
        .answers("a", &[ok()])
        .holds("a=/a")
        .shows(
            r#"
            adapter_status{adapter_name="a"} 1
            adapter_desired{adapter_name="a"} 1
            adapter_info{adapter_name="a",reason="loaded",source="/a"} 1
            operations_total{operation="load",result="ok"} 1
            config_valid 1
            "#,
        );
}

#[test]
fn of_another_server_nothing_is_known() {
    Scenario::new()
        .yaml("vLLMLoRAConfig: {port: 1, ensureExist: {models: [{id: a, source: /a}]}}")
        .holds("a=/a")
        .stands("a", 1, "loaded")
        .yaml("vLLMLoRAConfig: {port: 2, ensureExist: {models: [{id: a, source: /a}]}}")
        .plans(&[])
        .stands("a", 0, "pending")
        .is_ready(Err("the server was not asked yet"));
}

#[test]
fn many_adapters_are_named_with_few_words() {
    Scenario::new()
        .file("+a=/a +b=/b +c=/c +d=/d +e=/e")
        .holds("e=/e")
        .is_ready(Err(
            "4 of 5 adapters are not as configured: a (pending), b (pending), c (pending), …",
        ));
}

#[test]
fn the_requests_are_those_that_vllm_takes() {
    let mut scenario = Scenario::new();
    let text = r#"vLLMLoRAConfig: {ensureExist: {models: [{id: 'a"', source: /a, base-model: tiny}, {id: b, source: /2}]},
        ensureNotExist: {models: [{id: c}]}}"#;
    scenario.yaml(text).holds("b=/1 c");
    let calls = scenario.board.plan(scenario.now());
    let requests = calls.iter().flat_map(Call::requests);
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
    let Call::Reload(adapter) = &calls[1] else {
        panic!("{calls:?}");
    };
    let replaced = Call::Replace(adapter.clone()).requests();
    let replaced: Vec<_> = replaced.iter().map(|request| &*request.body).collect();
    assert_eq!(
        replaced,
        [r#"{"lora_name":"b"}"#, r#"{"lora_name":"b","lora_path":"/2"}"#]
    );
}

#[test]
fn the_readme_describes_every_family() {
    let readme = include_str!("../../../docs/metrics.md");
    let mut scenario = Scenario::new();
    scenario
        .file("+a=/a")
        .holds("")
        .plans(&["load a from /a"])
        .answers("a", &[ok()])
        .holds("a=/a")
        .by_the_clock();
    let families = scenario.board.families();
    assert_eq!(families.len(), 6);
    for family in families {
        let row = family.readme_row();
        assert!(readme.lines().any(|line| line == row), "README lacks\n{row}");
    }
}
