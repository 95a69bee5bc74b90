//! Where adapters come from: sources that change, by whatever way the server can, and whoever remembers.

use super::scenario::{Scenario, error, ok, status};
use crate::lora::response::Answer;

#[test]
fn a_changed_source_is_loaded_in_place() {
    Scenario::new()
        .file("+a=/1")
        .holds("")
        .plans(&["load a from /1"])
        .answers("a", &[ok()])
        .file("+a=/2")
        .at(5)
        .holds("a")
        .stands("a", 1, "pending")
        .is_ready(Err("1 of 1 adapters are not as configured: a (pending)"))
        .plans(&["reload a from /2"])
        .stands("a", 1, "loading")
        .answers("a", &[ok()])
        .stands("a", 1, "loaded")
        .at(10)
        // The server's own word of the source may be another one: our memory counts.
        .holds("a=/1")
        .plans(&[])
        .is_ready(Ok(()));
}

#[test]
fn a_source_that_changed_while_the_syncer_was_down_is_known_by_the_server_s_word() {
    Scenario::new()
        .file("+a=/2 +b=/b +c=/c")
        .holds("a=/1 b=/b c")
        .plans(&["reload a from /2"]);
}

#[test]
fn a_source_that_changes_is_seen_even_if_the_server_says_nothing_of_it() {
    Scenario::new()
        .file("+a=/1")
        .holds("a")
        .plans(&[])
        .stands("a", 1, "loaded")
        .file("+a=/2")
        .holds("a")
        .plans(&["reload a from /2"]);
}

/// The reload that timed out may have been done all the same.
#[test]
fn after_a_lost_answer_the_server_s_word_of_the_source_counts_or_else_it_is_asked_again() {
    for (held, calls) in [
        ("a=/1", [].as_slice()),
        ("a=/2", &["reload a from /1"]),
        ("a", &["reload a from /1"]),
    ] {
        Scenario::new()
            .file("+a=/1")
            .holds("")
            .plans(&["load a from /1"])
            .answers("a", &[ok()])
            .file("+a=/2")
            .holds("a=/1")
            .plans(&["reload a from /2"])
            .answers("a", &[Answer::Timeout])
            .stands("a", 1, "timeout")
            .file("+a=/1")
            .holds(held)
            .plans(calls);
    }
}

#[test]
fn a_server_that_cannot_reload_unloads_and_loads() {
    let duplicate = || error(400, "The lora adapter 'a' has already been loaded.");
    Scenario::new()
        .file("+a=/2 +b=/2")
        .holds("a=/1 b=/1")
        .plans(&["reload a from /2", "reload b from /2"])
        .answers("a", &[duplicate()])
        .answers("b", &[duplicate()])
        .stands("a", 1, "pending")
        .at(5)
        .holds("a=/1 b=/1")
        .plans(&["unload a and load it from /2", "unload b and load it from /2"])
        .answers("a", &[ok(), ok()])
        .stands("a", 1, "loaded")
        .answers("b", &[status(500, "")])
        .stands("b", 1, "unload_failed")
        .at(10)
        .holds("a=/2 b=/1")
        .plans(&["unload b and load it from /2"])
        .answers("b", &[ok(), error(404, "No adapter found for /2")])
        .holds("a=/2")
        .stands("b", 0, "load_failed")
        .at(20)
        .holds("a=/2")
        .plans(&["load b from /2"])
        .answers("b", &[ok()])
        .holds("a=/2 b=/2")
        .is_ready(Ok(()));
}
