//! What fails: what is told of it, and when it is tried again.

use super::scenario::{Scenario, error, ok, refused, status};
use crate::lora::response::Answer;

#[test]
fn an_unload_that_fails_is_told_and_tried_again() {
    Scenario::new()
        .file("-a")
        .holds("a")
        .plans(&["unload a"])
        .answers("a", &[status(500, "")])
        .stands("a", 1, "unload_failed")
        .at(5)
        .holds("a")
        .plans(&["unload a"])
        .answers("a", &[error(404, "The lora adapter 'a' cannot be found.")])
        .holds("")
        .stands("a", 0, "excluded")
        .is_ready(Ok(()));
}

#[test]
fn failures_back_off_each_by_itself_and_a_changed_configuration_ends_that() {
    let mut scenario = Scenario::new();
    scenario.file("+a=/a +b=/b");
    for (now, calls) in [
        (0, ["load a from /a", "load b from /b"].as_slice()),
        (5, &["load a from /a"]),
        (10, &[]),
        (15, &["load a from /a"]),
        (30, &[]),
        (35, &["load a from /a"]),
    ] {
        scenario.at(now).holds(if now == 0 { "" } else { "b=/b" }).plans(calls);
        for call in calls {
            let (id, answer) = match *call {
                "load a from /a" => ("a", Answer::Timeout),
                _ => ("b", ok()),
            };
            scenario.answers(id, &[answer]);
        }
        scenario
            .holds("b=/b")
            .stands("a", 0, "timeout")
            .stands("b", 1, "loaded");
    }
    scenario
        .at(36)
        // The same again is no change.
        .file("+a=/a +b=/b")
        .holds("b=/b")
        .plans(&[])
        .file("+a=/a +b=/b -c")
        .stands("a", 0, "pending")
        .plans(&["load a from /a"]);
}

#[test]
fn a_server_that_is_back_need_not_wait_for_the_back_off() {
    Scenario::new()
        .file("+a=/a +b=/b")
        .holds("")
        .plans(&["load a from /a", "load b from /b"])
        .answers("a", &[refused()])
        .answers("b", &[error(400, "bad")])
        .stands("a", 0, "unreachable")
        .stands("b", 0, "load_rejected")
        .at(1)
        .holds("")
        .plans(&["load a from /a"]);
}

/// A proxy in between, perhaps, or a server that is not what it says.
#[test]
fn a_yes_that_the_list_does_not_show_is_a_failure_and_backs_off() {
    let mut scenario = Scenario::new();
    scenario.file("+a=/a -b");
    for (now, calls) in [
        (0, ["load a from /a", "unload b"].as_slice()),
        (1, &[]),
        (6, &["load a from /a", "unload b"]),
        (7, &[]),
        (12, &[]),
        (17, &["load a from /a", "unload b"]),
    ] {
        scenario.at(now).holds("b").plans(calls);
        for call in calls {
            let id = if call.contains("unload") { "b" } else { "a" };
            scenario.answers(id, &[status(200, "garbage")]);
        }
        if calls.is_empty() {
            scenario.stands("a", 0, "load_failed").stands("b", 1, "unload_failed");
        } else {
            scenario
                .stands("a", 0, "loading")
                .stands("b", 1, if now == 0 { "excluded" } else { "unload_failed" });
        }
    }
    // What a server said before it went away counts no more: it need not wait.
    scenario
        .at(18)
        .lists(refused())
        .at(100)
        .holds("")
        .plans(&["load a from /a"]);
}

#[test]
fn a_load_that_somebody_else_was_faster_with_is_seen_by_the_next_list() {
    let duplicate = error(400, "The lora adapter 'a' has already been loaded.");
    Scenario::new()
        .file("+a=/a")
        .holds("")
        .plans(&["load a from /a"])
        .answers("a", &[duplicate])
        .stands("a", 0, "load_rejected")
        .at(1)
        .holds("a=/a")
        .plans(&[])
        .stands("a", 1, "loaded");
}
