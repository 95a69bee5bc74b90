//! Several servers, as of data-parallel ranks: one status for all, and nothing of one concerns another.

use super::scenario::{Scenario, error, ok, refused, reply, timeout};

#[test]
fn adapter_is_loaded_when_every_server_has_it() {
    Scenario::new()
        .config("ports=1,2 +a=/a -b")
        .is_ready(Err("model server http://localhost:1/ not polled yet"))
        .lists("b=/b")
        .has_status("a", 0, "pending")
        .is_ready(Err("model server http://localhost:2/ not polled yet"))
        .plans(&["load a from /a", "unload b"])
        .replies("a", &[ok()])
        .replies("b", &[ok()])
        .lists("a=/a")
        .has_status("a", 0, "pending")
        .on(1)
        .lists("b=/b")
        .has_status("a", 0, "pending")
        // One server has it still.
        .has_status("b", 0, "excluded")
        .is_ready(Err("2 of 2 adapters are not as configured: a (pending), b (excluded)"))
        .plans(&["load a from /a", "unload b"])
        .has_status("a", 0, "loading")
        .replies("a", &[ok()])
        .replies("b", &[ok()])
        .lists("a=/a")
        .at_wall_clock()
        .is_ready(Ok(()))
        .has_series(
            r#"
            adapter_status{adapter_name="a"} 1
            adapter_status{adapter_name="b"} 0
            adapter_desired{adapter_name="a"} 1
            adapter_desired{adapter_name="b"} 0
            adapter_info{adapter_name="a",reason="loaded",source="/a"} 1
            adapter_info{adapter_name="b",reason="excluded",source=""} 1
            operations_total{operation="load",result="ok"} 2
            operations_total{operation="unload",result="ok"} 2
            last_success_timestamp_seconds 1767225600
            config_valid 1
            "#,
        );
}

#[test]
fn reason_is_that_of_the_server_where_things_are_worst() {
    let mut scenario = Scenario::new();
    scenario.config("ports=1,2,3 +a=/a");
    for server in 0..3 {
        scenario.on(server).lists("").plans(&["load a from /a"]);
    }
    scenario
        .on(0)
        .replies("a", &[ok()])
        .lists("a=/a")
        .has_status("a", 0, "loading")
        .on(1)
        .replies("a", &[error(404, "No adapter found for /a")])
        .has_status("a", 0, "load_failed")
        .on(2)
        .replies("a", &[timeout()])
        .has_status("a", 0, "timeout")
        .list_reply(refused())
        .has_status("a", 0, "unreachable");
    let message = |scenario: &Scenario| scenario.state.statuses().remove(0).message.unwrap();
    assert_eq!(message(&scenario), "server http://localhost:3/: connection refused");
    scenario.is_ready(Err(
        "model server http://localhost:3/ cannot be polled: connection refused",
    ));
    scenario.on(2).lists("a=/a").has_status("a", 0, "load_failed");
    assert_eq!(
        message(&scenario),
        "server http://localhost:2/: 404 No adapter found for /a"
    );
}

#[test]
fn outage_of_one_server_changes_nothing_for_another() {
    Scenario::new()
        .config("ports=1,2 +a=/1")
        .lists("")
        .plans(&["load a from /1"])
        .replies("a", &[ok()])
        .lists("a")
        .on(1)
        .list_reply(refused())
        .plans(&[])
        .on(0)
        // Without a root, an outage of this server would forget the load.
        .lists("a")
        .plans(&[])
        .config("ports=1,2 +a=/1 +b=/b")
        .lists("a")
        .plans(&["load b from /b"])
        .replies("b", &[ok()])
        .lists("a b")
        .on(1)
        .at(10)
        .lists("")
        .plans(&["load a from /1", "load b from /b"]);
}

#[test]
fn typo_is_rolled_back_on_each_server_by_its_own_means() {
    let not_found = || error(404, "No adapter found for /typo");
    let duplicate = error(400, "The lora adapter 'a' has already been loaded.");
    Scenario::new()
        .config("ports=1,2 +a=/typo")
        .lists("a=/1")
        .plans(&["reload a from /typo"])
        .replies("a", &[not_found()])
        .lists("a=/1")
        .on(1)
        .lists("a=/0")
        .plans(&["reload a from /typo"])
        .replies("a", &[duplicate])
        .lists("a=/0")
        .plans(&["unload a, then load it from /typo"])
        .replies("a", &[ok(), not_found(), reply(500, "")])
        .lists("")
        .has_status("a", 0, "load_failed")
        .at(5)
        .lists("")
        .plans(&["load a again from /0"])
        .replies("a", &[ok()])
        .lists("a=/0")
        .has_status("a", 1, "load_failed");
}

#[test]
fn servers_that_a_changed_file_keeps_keep_their_state() {
    Scenario::new()
        .config("ports=1,2 +a=org/a")
        .lists("")
        .plans(&["load a from org/a"])
        .replies("a", &[ok()])
        .lists("a=/cache/a")
        .on(1)
        .lists("")
        .plans(&["load a from org/a"])
        .config("ports=3,1 +a=org/a")
        .on(1)
        // Port 1: the list is still known, and what its root was after our load.
        .plans(&[])
        .lists("a=/cache/a")
        .plans(&[])
        .on(0)
        // Port 3 is new.
        .plans(&[])
        .is_ready(Err("model server http://localhost:3/ not polled yet"))
        .lists("")
        .plans(&["load a from org/a"]);
}

#[test]
fn base_model_of_one_server_is_left_alone_there() {
    Scenario::new()
        .config("ports=1,2 -a")
        .list_reply(reply(200, r#"{"data":[{"id":"a","parent":""}]}"#))
        .plans(&[])
        .on(1)
        .list_reply(reply(200, r#"{"data":[{"id":"a","parent":"tiny","root":"/a"}]}"#))
        .plans(&["unload a"])
        .has_status("a", 0, "unload_failed");
}
