//! A source that cannot be loaded takes nothing out of service: the last known one is loaded again.

use super::scenario::{Scenario, error, ok, refused, reply, timeout};
use crate::lora::response::Reply;

fn not_found() -> Reply {
    error(404, "No adapter found for /typo")
}

fn duplicate() -> Reply {
    error(400, "The lora adapter 'a' has already been loaded.")
}

/// A server that cannot reload in place, and has `a` loaded from `/1`.
fn without_reload() -> Scenario {
    let mut scenario = Scenario::new();
    scenario
        .config("+a=/1")
        .lists("")
        .plans(&["load a from /1"])
        .replies("a", &[ok()])
        .lists("a=/1")
        .config("+a=/typo")
        .lists("a=/1")
        .plans(&["reload a from /typo"])
        .replies("a", &[duplicate()])
        .lists("a=/1");
    scenario
}

#[test]
fn failed_reload_in_place_leaves_the_previous_source_loaded() {
    Scenario::new()
        .config("+a=/1")
        .lists("")
        .plans(&["load a from /1"])
        .replies("a", &[ok()])
        .lists("a=/1")
        .config("+a=/typo")
        .plans(&["reload a from /typo"])
        .replies("a", &[not_found()])
        .lists("a=/1")
        .has_status("a", 1, "load_failed")
        .is_ready(Err("1 of 1 adapters are not as configured: a (load_failed)"))
        .plans(&[])
        .at(5)
        .lists("a=/1")
        .plans(&["reload a from /typo"])
        .replies("a", &[not_found()])
        // The typo is corrected.
        .config("+a=/1")
        .lists("a=/1")
        .plans(&[])
        .has_status("a", 1, "loaded")
        .is_ready(Ok(()));
}

#[test]
fn failed_replacement_is_rolled_back_and_the_status_says_why() {
    without_reload()
        .plans(&["unload a, then load it from /typo"])
        .has_status("a", 1, "loading")
        .replies("a", &[ok(), not_found(), ok()])
        .lists("a=/1")
        .has_status("a", 1, "load_failed")
        .has_series(
            r#"
            adapter_status{adapter_name="a"} 1
            adapter_desired{adapter_name="a"} 1
            adapter_info{adapter_name="a",reason="load_failed",source="/typo"} 1
            operations_total{operation="load",result="load_failed"} 1
            operations_total{operation="load",result="ok"} 1
            operations_total{operation="reload",result="load_rejected"} 1
            operations_total{operation="restore",result="ok"} 1
            operations_total{operation="unload",result="ok"} 1
            config_valid 1
            "#,
        )
        // Each attempt takes the adapter out of service for a moment, so there are few.
        .at(299)
        .lists("a=/1")
        .plans(&[])
        .at(300)
        .lists("a=/1")
        .plans(&["unload a, then load it from /typo"])
        .replies("a", &[ok(), not_found(), ok()])
        .lists("a=/1")
        .at(899)
        .lists("a=/1")
        .plans(&[])
        .at(900)
        .lists("a=/1")
        // The source has appeared.
        .plans(&["unload a, then load it from /typo"])
        .replies("a", &[ok(), ok()])
        .lists("a=/typo")
        .has_status("a", 1, "loaded")
        .plans(&[]);
}

#[test]
fn every_reason_of_a_failed_replacement_is_kept() {
    for (failure, reason) in [
        (not_found(), "load_failed"),
        (reply(500, ""), "load_failed"),
        (error(400, "rank 64 is greater than max_lora_rank 16"), "load_rejected"),
        (timeout(), "timeout"),
        (reply(401, ""), "unauthorized"),
    ] {
        without_reload()
            .plans(&["unload a, then load it from /typo"])
            .replies("a", &[ok(), failure, ok()])
            .lists("a=/1")
            .has_status("a", 1, reason)
            .plans(&[]);
    }
}

#[test]
fn typo_after_typo_rolls_back_to_the_source_that_was_loaded() {
    let mut scenario = without_reload();
    for typo in ["/typo", "/typo2", "/typo3"] {
        scenario
            .config(&format!("+a={typo}"))
            .lists("a=/1")
            .plans(&[&format!("unload a, then load it from {typo}")])
            .replies("a", &[ok(), not_found(), ok()])
            .lists("a=/1")
            .has_status("a", 1, "load_failed")
            .plans(&[]);
    }
    scenario
        .config("+a=/2")
        .lists("a=/1")
        .plans(&["unload a, then load it from /2"])
        .replies("a", &[ok(), ok()])
        .lists("a=/2")
        .has_status("a", 1, "loaded")
        .config("+a=/typo")
        .lists("a=/2")
        .plans(&["unload a, then load it from /typo"])
        // Now /2 is the known one.
        .replies("a", &[ok(), not_found(), reply(500, "")])
        .lists("")
        .at(5)
        .lists("")
        .plans(&["load a again from /2"]);
}

#[test]
fn failed_rollback_is_retried_with_the_configured_source_in_turn() {
    let mut scenario = without_reload();
    scenario
        .plans(&["unload a, then load it from /typo"])
        .replies("a", &[ok(), not_found(), reply(500, "")])
        .lists("")
        .has_status("a", 0, "load_failed")
        .plans(&[]);
    let status = scenario.state.statuses().remove(0);
    assert_eq!(
        status.message.as_deref(),
        Some("404 No adapter found for /typo; the previous source cannot be loaded again: 500 Internal Server Error")
    );
    scenario
        .at(5)
        .lists("")
        .plans(&["load a again from /1"])
        // A restore is not what is configured.
        .has_status("a", 0, "load_failed")
        .replies("a", &[reply(500, "")])
        .lists("")
        .plans(&["load a from /typo"])
        .has_status("a", 0, "loading")
        .replies("a", &[not_found()])
        .lists("")
        .plans(&[])
        .at(15)
        .lists("")
        .plans(&["load a again from /1"])
        .replies("a", &[ok()])
        .lists("a=/1")
        .has_status("a", 1, "load_failed")
        .plans(&[]);
}

#[test]
fn server_that_dies_in_between_is_restored_after_its_restart() {
    // Before the unload, between unload and load, between load and restore.
    for replies in [
        vec![refused()],
        vec![ok(), refused(), refused()],
        vec![ok(), not_found(), refused()],
    ] {
        let mut scenario = without_reload();
        scenario
            .plans(&["unload a, then load it from /typo"])
            .replies("a", &replies)
            .list_reply(refused())
            .has_status("a", 0, "unreachable")
            .at(10)
            .lists("");
        if replies.len() < 3 || replies[1] == refused() {
            // Whether the configured source can be loaded is not known yet.
            scenario
                .plans(&["load a from /typo"])
                .replies("a", &[not_found()])
                .lists("");
        }
        scenario
            .plans(&["load a again from /1"])
            .replies("a", &[ok()])
            .lists("a=/1")
            .has_status("a", 1, "load_failed");
        if replies.len() == 3 && replies[1] == not_found() {
            // The restarted server may be able to, and an attempt takes nothing out of service.
            scenario
                .plans(&["reload a from /typo"])
                .replies("a", &[duplicate()])
                .lists("a=/1");
        }
        scenario.plans(&[]);
    }
}

#[test]
fn restart_while_the_source_is_wrong_restores_the_last_known_one() {
    Scenario::new()
        .config("+a=/1")
        .lists("")
        .plans(&["load a from /1"])
        .replies("a", &[ok()])
        .lists("a=/1")
        .config("+a=/typo")
        .plans(&["reload a from /typo"])
        .replies("a", &[not_found()])
        .lists("a=/1")
        .list_reply(refused())
        .at(100)
        .lists("")
        .plans(&["load a again from /1"])
        .replies("a", &[ok()])
        .lists("a=/1")
        .has_status("a", 1, "load_failed")
        // In place, an attempt costs nothing.
        .plans(&["reload a from /typo"]);
}

/// The syncer has restarted, and the file was changed meanwhile: the server's list has the source.
#[test]
fn reported_root_is_a_source_to_roll_back_to() {
    Scenario::new()
        .config("+a=/typo")
        .lists("a=/1")
        .plans(&["reload a from /typo"])
        .replies("a", &[duplicate()])
        .lists("a=/1")
        .plans(&["unload a, then load it from /typo"])
        .replies("a", &[ok(), not_found(), ok()])
        .lists("a=/1")
        .has_status("a", 1, "load_failed");
}

/// SGLang's `root` of weights that came over the wire.
#[test]
fn root_that_is_no_source_is_not_rolled_back_to() {
    Scenario::sglang()
        .config("+a=/a")
        .lists("a=__distributed__")
        .plans(&["unload a, then load it from /a"])
        .replies(
            "a",
            &[ok(), reply(400, r#"{"success":false,"error_message":"[Errno 2]"}"#)],
        )
        .lists("")
        .has_status("a", 0, "load_failed")
        .plans(&[])
        .at(5)
        .lists("")
        .plans(&["load a from /a"]);
}

#[test]
fn adapter_that_was_removed_from_the_file_has_no_known_source() {
    Scenario::new()
        .config("+a=/1")
        .lists("a=/1")
        .config("-a")
        .plans(&["unload a"])
        .replies("a", &[ok()])
        .lists("")
        .config("+a=/typo")
        .lists("")
        .plans(&["load a from /typo"])
        .replies("a", &[not_found()])
        .lists("")
        .plans(&[])
        .has_status("a", 0, "load_failed");
}

/// The load that timed out has taken effect in the end, so the server rejects the restore.
#[test]
fn slow_load_that_succeeds_after_its_timeout_counts() {
    without_reload()
        .plans(&["unload a, then load it from /typo"])
        .replies("a", &[ok(), timeout(), duplicate()])
        .lists("a=/typo")
        .has_status("a", 1, "loaded")
        .plans(&[])
        .is_ready(Ok(()));
}
