//! Sources of adapters: how a change is noticed, and how it is applied.

use super::scenario::{Scenario, error, ok, reply, timeout};

#[test]
fn changed_source_is_reloaded_in_place() {
    Scenario::new()
        .config("+a=/1")
        .lists("")
        .plans(&["load a from /1"])
        .replies("a", &[ok()])
        .config("+a=/2")
        .at(5)
        .lists("a")
        .has_status("a", 1, "pending")
        .is_ready(Err("1 of 1 adapters are not as configured: a (pending)"))
        .plans(&["reload a from /2"])
        .has_status("a", 1, "loading")
        .replies("a", &[ok()])
        // A reported success counts once the list confirms it.
        .has_status("a", 1, "loading")
        .at(10)
        // The reported root may differ from the source, as that of a repository's name.
        .lists("a=/cache/2")
        .plans(&[])
        .is_ready(Ok(()))
        .has_status("a", 1, "loaded");
}

#[test]
fn source_changed_while_the_syncer_was_down_is_noticed_by_the_reported_root() {
    Scenario::new()
        .config("+a=/2 +b=/b +c=/c")
        .lists("a=/1 b=/b c")
        // Nothing shows where the last one was loaded from.
        .plans(&["reload a from /2", "reload c from /c"]);
}

#[test]
fn changed_source_is_noticed_without_a_reported_root() {
    Scenario::new()
        .config("+a=/1")
        .lists("")
        .plans(&["load a from /1"])
        .replies("a", &[ok()])
        .lists("a")
        .plans(&[])
        .has_status("a", 1, "loaded")
        .config("+a=/2")
        .lists("a")
        .plans(&["reload a from /2"]);
}

/// A reload that timed out may have taken effect.
#[test]
fn after_a_lost_response_the_reported_root_counts_else_the_adapter_is_reloaded() {
    for (listed, actions) in [
        ("a=/1", [].as_slice()),
        ("a=/2", &["reload a from /1"]),
        ("a", &["reload a from /1"]),
    ] {
        Scenario::new()
            .config("+a=/1")
            .lists("")
            .plans(&["load a from /1"])
            .replies("a", &[ok()])
            .config("+a=/2")
            .lists("a=/1")
            .plans(&["reload a from /2"])
            .replies("a", &[timeout()])
            .has_status("a", 1, "timeout")
            .config("+a=/1")
            .lists(listed)
            .plans(actions);
    }
}

#[test]
fn server_without_in_place_reload_unloads_and_loads() {
    let duplicate = || error(400, "The lora adapter 'a' has already been loaded.");
    Scenario::new()
        .config("+a=/2 +b=/2")
        .lists("a=/1 b=/1")
        .plans(&["reload a from /2", "reload b from /2"])
        .replies("a", &[duplicate()])
        .replies("b", &[duplicate()])
        .has_status("a", 1, "pending")
        .at(5)
        .lists("a=/1 b=/1")
        .plans(&["unload a, then load it from /2", "unload b, then load it from /2"])
        .replies("a", &[ok(), ok()])
        .has_status("a", 1, "loading")
        .replies("b", &[reply(500, "")])
        .has_status("b", 1, "unload_failed")
        .at(10)
        .lists("a=/2 b=/1")
        .plans(&["unload b, then load it from /2"])
        .replies("b", &[ok(), ok()])
        .lists("a=/2 b=/2")
        .is_ready(Ok(()));
}
