//! Failures: their reasons, and when the operation is retried.

use super::scenario::{Scenario, error, ok, refused, reply, timeout};

#[test]
fn failed_unload_is_reported_and_retried() {
    Scenario::new()
        .config("-a")
        .lists("a")
        .plans(&["unload a"])
        .replies("a", &[reply(500, "")])
        .has_status("a", 1, "unload_failed")
        .at(5)
        .lists("a")
        .plans(&["unload a"])
        .replies("a", &[error(404, "The lora adapter 'a' cannot be found.")])
        .lists("")
        .has_status("a", 0, "excluded")
        .is_ready(Ok(()));
}

#[test]
fn backoff_is_per_adapter_and_ends_with_a_changed_configuration() {
    let mut scenario = Scenario::new();
    scenario.config("+a=/a +b=/b");
    for (now, actions) in [
        (0, ["load a from /a", "load b from /b"].as_slice()),
        (5, &["load a from /a"]),
        (10, &[]),
        (15, &["load a from /a"]),
        (30, &[]),
        (35, &["load a from /a"]),
    ] {
        scenario
            .at(now)
            .lists(if now == 0 { "" } else { "b=/b" })
            .plans(actions);
        for action in actions {
            let (id, reply) = match *action {
                "load a from /a" => ("a", timeout()),
                _ => ("b", ok()),
            };
            scenario.replies(id, &[reply]);
        }
        scenario
            .lists("b=/b")
            .has_status("a", 0, "timeout")
            .has_status("b", 1, "loaded");
    }
    scenario
        .at(36)
        // An unchanged file changes nothing.
        .config("+a=/a +b=/b")
        .lists("b=/b")
        .plans(&[])
        .config("+a=/a +b=/b -c")
        .has_status("a", 0, "pending")
        .plans(&["load a from /a"]);
}

#[test]
fn reachable_again_ends_the_backoff_of_unreachable_only() {
    Scenario::new()
        .config("+a=/a +b=/b")
        .lists("")
        .plans(&["load a from /a", "load b from /b"])
        .replies("a", &[refused()])
        .replies("b", &[error(400, "bad")])
        .has_status("a", 0, "unreachable")
        .has_status("b", 0, "load_rejected")
        .at(1)
        .lists("")
        .plans(&["load a from /a"]);
}

/// A proxy in between may reply 200 to anything.
#[test]
fn success_that_the_list_refutes_is_a_failure() {
    let mut scenario = Scenario::new();
    scenario.config("+a=/a -b");
    for (now, actions) in [
        (0, ["load a from /a", "unload b"].as_slice()),
        (1, &[]),
        (6, &["load a from /a", "unload b"]),
        (7, &[]),
        (12, &[]),
        (17, &["load a from /a", "unload b"]),
    ] {
        scenario.at(now).lists("b").plans(actions);
        for action in actions {
            let id = if action.contains("unload") { "b" } else { "a" };
            scenario.replies(id, &[reply(200, "garbage")]);
        }
        if actions.is_empty() {
            scenario
                .has_status("a", 0, "load_failed")
                .has_status("b", 1, "unload_failed");
        } else {
            scenario.has_status("a", 0, "loading").has_status(
                "b",
                1,
                if now == 0 { "excluded" } else { "unload_failed" },
            );
        }
    }
    // A success reported before the server became unreachable no longer counts, and does not delay the load.
    scenario
        .at(18)
        .list_reply(refused())
        .at(100)
        .lists("")
        .plans(&["load a from /a"]);
}

#[test]
fn load_by_another_client_is_seen_in_the_next_list() {
    let duplicate = error(400, "The lora adapter 'a' has already been loaded.");
    Scenario::new()
        .config("+a=/a")
        .lists("")
        .plans(&["load a from /a"])
        .replies("a", &[duplicate])
        .has_status("a", 0, "load_rejected")
        .at(1)
        .lists("a=/a")
        .plans(&[])
        .has_status("a", 1, "loaded");
}
