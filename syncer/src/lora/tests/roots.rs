//! What counts is what the server holds: `root` is compared with what it was after our own load.

use super::scenario::{Scenario, error, ok, refused};

/// A server that resolves a repository's name to a path. Our load of it is remembered by that path.
fn loaded_from_repository() -> Scenario {
    let mut scenario = Scenario::new();
    scenario
        .config("+a=org/a")
        .lists("")
        .plans(&["load a from org/a"])
        .replies("a", &[ok()])
        .lists("a=/cache/org/a/1")
        .has_status("a", 1, "loaded")
        .plans(&[])
        .is_ready(Ok(()));
    scenario
}

#[test]
fn server_restarted_with_other_weights_is_loaded_again() {
    loaded_from_repository()
        .at(5)
        .list_reply(refused())
        .at(10)
        .lists("a=/image/other")
        .has_status("a", 1, "pending")
        .is_ready(Err("1 of 1 adapters are not as configured: a (pending)"))
        .plans(&["reload a from org/a"])
        .has_status("a", 1, "loading")
        .replies("a", &[ok()])
        .lists("a=/cache/org/a/2")
        .has_status("a", 1, "loaded")
        .plans(&[])
        .at(20)
        // What was seen after the first load no longer counts.
        .lists("a=/cache/org/a/1")
        .has_status("a", 1, "pending")
        .plans(&["reload a from org/a"]);
}

#[test]
fn restart_that_no_poll_has_noticed_is_seen_by_the_root() {
    loaded_from_repository()
        .at(5)
        .lists("a=/image/other")
        .has_status("a", 1, "pending")
        .plans(&["reload a from org/a"]);
}

#[test]
fn outage_after_which_the_root_is_the_same_changes_nothing() {
    loaded_from_repository()
        .at(5)
        .list_reply(refused())
        .has_status("a", 0, "unreachable")
        .at(10)
        .lists("a=/cache/org/a/1")
        .has_status("a", 1, "loaded")
        .plans(&[]);
}

#[test]
fn load_by_another_client_from_another_source_is_replaced() {
    Scenario::new()
        .config("+a=/a +b=/b")
        .lists("a=/theirs b=/b")
        .has_status("a", 1, "pending")
        // It is what is configured, whoever loaded it.
        .has_status("b", 1, "loaded")
        .plans(&["reload a from /a"])
        .replies("a", &[ok()])
        .lists("a=/a b=/b")
        .is_ready(Ok(()))
        // A client that loads over ours.
        .at(5)
        .lists("a=/theirs b=/b")
        .has_status("a", 1, "pending")
        .plans(&["reload a from /a"]);
}

/// Nothing shows whether the server has restarted meanwhile.
#[test]
fn without_a_root_our_load_is_forgotten_with_every_outage() {
    Scenario::new()
        .config("+a=/a")
        .lists("")
        .plans(&["load a from /a"])
        .replies("a", &[ok()])
        .lists("a")
        .has_status("a", 1, "loaded")
        .at(5)
        .lists("a")
        .plans(&[])
        .at(10)
        .list_reply(refused())
        .at(15)
        .lists("a")
        .has_status("a", 1, "pending")
        .plans(&["reload a from /a"])
        .replies("a", &[ok()])
        .lists("a")
        .has_status("a", 1, "loaded");
}

/// The list that follows the load was not seen, so what it would have shown is not known.
#[test]
fn outage_between_a_load_and_the_next_list_forgets_the_load() {
    for (listed, actions) in [("a=/cache/a", ["reload a from org/a"].as_slice()), ("a=org/a", &[])] {
        Scenario::new()
            .config("+a=org/a")
            .lists("")
            .plans(&["load a from org/a"])
            .replies("a", &[ok()])
            .list_reply(refused())
            .at(5)
            .lists(listed)
            .plans(actions);
    }
}

#[test]
fn server_that_begins_to_report_roots_is_not_trusted_blindly() {
    Scenario::new()
        .config("+a=/a")
        .lists("")
        .plans(&["load a from /a"])
        .replies("a", &[ok()])
        .lists("a")
        .at(5)
        .lists("a=/b")
        .has_status("a", 1, "pending")
        .plans(&["reload a from /a"]);
}

/// A new version of the server may be able to.
#[test]
fn reload_in_place_is_tried_again_after_a_restart() {
    let duplicate = || error(400, "The lora adapter 'a' has already been loaded.");
    for noticed in [true, false] {
        let mut scenario = Scenario::new();
        scenario
            .config("+a=/2")
            .lists("a=/1")
            .plans(&["reload a from /2"])
            .replies("a", &[duplicate()])
            .lists("a=/1")
            .plans(&["unload a, then load it from /2"])
            .replies("a", &[ok(), ok()])
            .lists("a=/2")
            .config("+a=/3")
            .lists("a=/2")
            .plans(&["unload a, then load it from /3"])
            .replies("a", &[ok(), ok()])
            .lists("a=/3")
            .at(5);
        if noticed {
            scenario.list_reply(refused());
        }
        scenario.at(10).lists("a=/1").plans(&["reload a from /3"]);
    }
}
