//! Scenarios: a configuration, a server's lists and replies, and the exact plan and series at each step.

mod failures;
mod left_alone;
mod requests;
mod rollback;
mod roots;
mod scenario;
mod servers;
mod sources;

use scenario::{Scenario, error, ok, refused, reply, timeout};

/// Gateway API Inference Extension's LoRA sidecar has no series for an adapter until it is loaded, so there is nothing to
/// alert on.
#[test]
fn desired_adapters_have_series_from_the_first_poll_and_are_loaded_in_file_order() {
    let mut scenario = Scenario::new();
    scenario
        .has_series("")
        .is_ready(Err("no valid configuration yet"))
        .config("+b=/b +a=/a -old")
        .is_ready(Err("model server not polled yet"))
        .plans(&[])
        .has_status("a", 0, "pending")
        .lists("old other")
        .plans(&["load b from /b", "load a from /a", "unload old"])
        .has_series(
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
        .replies("a", &[error(404, "Loading lora a failed: No adapter found for /a")])
        .replies("b", &[ok()])
        .replies("old", &[ok()])
        // A reported success counts once the list confirms it.
        .has_status("b", 0, "loading")
        .has_status("old", 1, "excluded")
        .lists("other b=/b")
        .at_wall_clock()
        .is_ready(Err("1 of 3 adapters are not as configured: a (load_failed)"))
        .has_series(
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
        .lists("other b=/b")
        .plans(&["load a from /a"])
        .replies("a", &[ok()])
        .lists("other b=/b a=/a")
        .at_wall_clock()
        .is_ready(Ok(()))
        .has_series(
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
        .lists("other b=/b a=/a")
        .plans(&[]);
}

/// Gateway API Inference Extension's LoRA sidecar keeps 1.
#[test]
fn adapter_lost_in_a_restart_is_0_and_loaded_again() {
    Scenario::new()
        .config("+a=/a")
        .lists("")
        .plans(&["load a from /a"])
        .replies("a", &[ok()])
        .lists("a=/a")
        .has_status("a", 1, "loaded")
        .at(5)
        .list_reply(refused())
        .plans(&[])
        .has_status("a", 0, "unreachable")
        .is_ready(Err("model server cannot be polled: connection refused"))
        .at(10)
        .lists("")
        .has_status("a", 0, "pending")
        .plans(&["load a from /a"])
        .replies("a", &[ok()])
        .lists("a=/a")
        .has_status("a", 1, "loaded");
}

#[test]
fn source_of_a_lost_adapter_is_forgotten() {
    Scenario::new()
        .config("+a=/2")
        .lists("")
        .plans(&["load a from /2"])
        .replies("a", &[ok()])
        .lists("a=/2")
        .at(5)
        .lists("")
        .at(10)
        // The restarted server was given another adapter of this id.
        .lists("a=/1")
        .has_status("a", 1, "pending")
        .plans(&["reload a from /2"]);
}

/// Gateway API Inference Extension's LoRA sidecar treats a failed list as an empty one.
#[test]
fn failed_poll_causes_no_action_and_makes_every_status_unknown() {
    for (reply, reason) in [
        (refused(), "unreachable"),
        (timeout(), "timeout"),
        (reply(401, ""), "unauthorized"),
        (reply(500, ""), "unreachable"),
        (reply(200, "{"), "unreachable"),
    ] {
        Scenario::new()
            .config("+a=/a +b=/b -c +d=/d -d")
            .lists("a=/a c")
            .list_reply(reply)
            .plans(&[])
            .has_status("a", 0, reason)
            .has_status("b", 0, reason)
            .has_status("c", 0, reason)
            .has_status("d", 0, reason);
    }
}

#[test]
fn invalid_file_leaves_the_last_valid_one_in_effect() {
    Scenario::new()
        .yaml("vLLMLoRAConfig: [")
        .has_series("config_valid 0")
        .is_ready(Err("no valid configuration yet"))
        .lists("a")
        .plans(&[])
        .config("+a=/a")
        .lists("")
        .yaml("")
        .plans(&["load a from /a"])
        .has_series(
            r#"
            adapter_status{adapter_name="a"} 0
            adapter_desired{adapter_name="a"} 1
            adapter_info{adapter_name="a",reason="loading",source="/a"} 1
            config_valid 0
            "#,
        )
        .config("+a=/a")
        .replies("a", &[ok()])
        .lists("a=/a")
        .has_series(
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
fn changed_server_starts_from_unknown() {
    Scenario::new()
        .yaml("vLLMLoRAConfig: {port: 1, ensureExist: {models: [{id: a, source: /a}]}}")
        .lists("a=/a")
        .has_status("a", 1, "loaded")
        .yaml("vLLMLoRAConfig: {port: 2, ensureExist: {models: [{id: a, source: /a}]}}")
        .plans(&[])
        .has_status("a", 0, "pending")
        .is_ready(Err("model server not polled yet"));
}

#[test]
fn readiness_error_names_three_adapters() {
    Scenario::new()
        .config("+a=/a +b=/b +c=/c +d=/d +e=/e")
        .lists("e=/e")
        .is_ready(Err(
            "4 of 5 adapters are not as configured: a (pending), b (pending), c (pending), …",
        ));
}

#[test]
fn documents_describe_every_family() {
    let readme = include_str!("../../../docs/metrics.md");
    let mut scenario = Scenario::new();
    scenario
        .config("+a=/a")
        .lists("")
        .plans(&["load a from /a"])
        .replies("a", &[ok()])
        .lists("a=/a")
        .at_wall_clock();
    let families = scenario.state.families();
    assert_eq!(families.len(), 6);
    for family in families {
        let row = family.readme_row();
        assert!(readme.lines().any(|line| line == row), "README lacks\n{row}");
    }
}
