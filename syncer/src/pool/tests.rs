//! Scenarios: what happens to a pool, and the exact page at each step.

mod scenario;

use scenario::{Scenario, load, target, with_adapters};

use super::*;
use crate::engine::Adapters;

#[test]
fn a_pool_of_which_nothing_is_known_has_no_ready_pod_and_no_average() {
    let mut scenario = Scenario::new();
    scenario.shows(
        r#"
        inference_pool_ready_pods{name="p"} 0
        inference_pool_pods{name="p",state="ready"} 0
        inference_pool_pods{name="p",state="not_ready"} 0
        inference_pool_pods{name="p",state="stale"} 0
        inference_pool_pods{name="p",state="unreachable"} 0
        inference_pool_discovery_age_seconds{name="p"} 0
        "#,
    );
    assert_eq!(scenario.pool.ready(), Err("the pods are not known yet".to_owned()));
}

/// The guide's reference divides whole numbers (0 and 1 make 0) and asks vLLM for a name that it no longer has (0.000733
/// is 0).
#[test]
fn averages_are_exact_means_of_what_is_known() {
    let mut scenario = Scenario::new();
    scenario.discovered(&[target("b", None), target("a", None)]);
    assert_eq!(scenario.pool.ready(), Err("2 of 2 pods were not read yet".to_owned()));
    scenario
        .at(1_000)
        .tried("a", load(1.0, 3.0, 0.000733))
        .at(2_000)
        .tried("b", load(0.0, 2.0, 0.5))
        .at(2_500)
        .shows(
            r#"
            inference_pool_average_kv_cache_utilization{name="p"} 0.2503665
            inference_pool_average_queue_size{name="p"} 0.5
            inference_pool_per_pod_queue_size{name="p",model_server_pod="a"} 1
            inference_pool_per_pod_queue_size{name="p",model_server_pod="b"} 0
            inference_pool_ready_pods{name="p"} 2
            inference_pool_average_running_requests{name="p"} 2.5
            inference_pool_per_pod_running_requests{name="p",model_server_pod="a"} 3
            inference_pool_per_pod_running_requests{name="p",model_server_pod="b"} 2
            inference_pool_per_pod_kv_cache_utilization{name="p",model_server_pod="a"} 0.000733
            inference_pool_per_pod_kv_cache_utilization{name="p",model_server_pod="b"} 0.5
            inference_pool_pods{name="p",state="ready"} 2
            inference_pool_pods{name="p",state="not_ready"} 0
            inference_pool_pods{name="p",state="stale"} 0
            inference_pool_pods{name="p",state="unreachable"} 0
            inference_pool_scrape_duration_seconds{name="p",model_server_pod="a"} 0.01
            inference_pool_scrape_duration_seconds{name="p",model_server_pod="b"} 0.01
            inference_pool_last_scrape_age_seconds{name="p",model_server_pod="a"} 1.5
            inference_pool_last_scrape_age_seconds{name="p",model_server_pod="b"} 0.5
            inference_pool_discovery_age_seconds{name="p"} 0
            "#,
        );
    assert_eq!(scenario.pool.ready(), Ok(()));
}

#[test]
fn a_pod_that_says_nothing_of_a_value_is_not_counted_as_zero() {
    let only_queue = Ok(ServerLoad {
        waiting: Some(4.0),
        ..ServerLoad::default()
    });
    Scenario::new()
        .discovered(&[target("a", None), target("b", None)])
        .tried("a", only_queue)
        .tried("b", load(1.0, 1.0, 0.25))
        .has(r#"inference_pool_average_queue_size{name="p"} 2.5"#)
        .has(r#"inference_pool_average_kv_cache_utilization{name="p"} 0.25"#)
        .has(r#"inference_pool_average_running_requests{name="p"} 1"#)
        .lacks(r#"kv_cache_utilization{name="p",model_server_pod="a""#)
        .has(r#"inference_pool_ready_pods{name="p"} 2"#);
}

/// The guide's reference keeps the last values for ever, and counts two pods ready where there is none.
#[test]
fn a_pod_that_dies_stands_until_its_value_is_stale_and_then_leaves_no_value() {
    Scenario::new()
        .discovered(&[target("a", None)])
        .tried("a", load(7.0, 1.0, 0.5))
        .at(1_000)
        .tried("a", Err(Reason::Connect))
        .at(2_999)
        .tried("a", Err(Reason::Timeout))
        .has(r#"inference_pool_average_queue_size{name="p"} 7"#)
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="ready"} 1"#)
        // Nothing happens but time.
        .at(3_000)
        .shows(
            r#"
            inference_pool_ready_pods{name="p"} 0
            inference_pool_pods{name="p",state="ready"} 0
            inference_pool_pods{name="p",state="not_ready"} 0
            inference_pool_pods{name="p",state="stale"} 0
            inference_pool_pods{name="p",state="unreachable"} 1
            inference_pool_scrape_duration_seconds{name="p",model_server_pod="a"} 0.01
            inference_pool_scrape_errors_total{name="p",model_server_pod="a",reason="connect"} 1
            inference_pool_scrape_errors_total{name="p",model_server_pod="a",reason="timeout"} 1
            inference_pool_last_scrape_age_seconds{name="p",model_server_pod="a"} 3
            inference_pool_discovery_age_seconds{name="p"} 0
            "#,
        )
        // It comes back.
        .at(9_000)
        .tried("a", load(2.0, 0.0, 0.0))
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        .has(r#"inference_pool_average_kv_cache_utilization{name="p"} 0"#)
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .has(r#"inference_pool_scrape_errors_total{name="p",model_server_pod="a",reason="connect"} 1"#);
}

#[test]
fn a_pod_that_answers_without_a_load_is_stale_and_one_of_many_does_not_spoil_the_average() {
    Scenario::new()
        .discovered(&[target("a", None), target("b", None)])
        .tried("a", load(1.0, 1.0, 0.5))
        .tried("b", load(3.0, 1.0, 0.5))
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        .at(2_000)
        .tried("a", load(1.0, 1.0, 0.5))
        .tried("b", Err(Reason::Parse))
        .at(3_500)
        .tried("b", Err(Reason::Status))
        .has(r#"inference_pool_average_queue_size{name="p"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="ready"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="stale"} 1"#)
        .lacks(r#"queue_size{name="p",model_server_pod="b""#);
}

#[test]
fn kubernetes_word_decides_what_is_ready_and_the_scrape_what_is_known() {
    Scenario::new()
        .discovered(&[
            target("a", Some(true)),
            target("b", Some(false)),
            target("c", Some(true)),
        ])
        .tried("a", load(1.0, 1.0, 0.5))
        .tried("b", load(3.0, 1.0, 0.5))
        .tried("c", Err(Reason::Connect))
        .has(r#"inference_pool_ready_pods{name="p"} 2"#)
        // Its queue is the truth as long as it can be read, ready or not.
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        .has(r#"inference_pool_pods{name="p",state="ready"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="not_ready"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="unreachable"} 1"#)
        // Becomes unready, and stays what it was otherwise.
        .discovered(&[
            target("a", Some(false)),
            target("b", Some(false)),
            target("c", Some(false)),
        ])
        .has(r#"inference_pool_ready_pods{name="p"} 0"#)
        .has(r#"inference_pool_per_pod_queue_size{name="p",model_server_pod="a"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="not_ready"} 3"#);
}

#[test]
fn series_go_with_their_pod_and_an_empty_pool_has_no_average() {
    Scenario::new()
        .discovered(&[target("a", Some(true)), target("b", Some(true))])
        .tried("a", load(1.0, 1.0, 0.5))
        .tried("b", load(3.0, 1.0, 0.5))
        .discovered(&[target("b", Some(true)), target("c", Some(true))])
        .lacks(r#"model_server_pod="a""#)
        .has(r#"inference_pool_average_queue_size{name="p"} 3"#)
        .has(r#"inference_pool_ready_pods{name="p"} 2"#)
        .has(r#"inference_pool_pods{name="p",state="not_ready"} 1"#)
        .discovered(&[])
        .shows(
            r#"
            inference_pool_ready_pods{name="p"} 0
            inference_pool_pods{name="p",state="ready"} 0
            inference_pool_pods{name="p",state="not_ready"} 0
            inference_pool_pods{name="p",state="stale"} 0
            inference_pool_pods{name="p",state="unreachable"} 0
            inference_pool_discovery_age_seconds{name="p"} 0
            "#,
        )
        // The pool is made again: nothing of before comes back with a name.
        .discovered(&[target("a", Some(true))])
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .lacks("queue_size");
}

#[test]
fn what_was_asked_of_a_pod_that_moved_is_not_said_of_the_new_one() {
    let before = target("a", Some(true));
    let moved = Target {
        url: Some("http://10.0.0.9:8000/metrics".parse().unwrap()),
        ..before.clone()
    };
    Scenario::new()
        .discovered(std::slice::from_ref(&before))
        .tried("a", Err(Reason::Timeout))
        .tried("a", load(9.0, 1.0, 0.5))
        .discovered(std::slice::from_ref(&moved))
        .lacks("queue_size")
        // Counters do not fall.
        .has(r#"inference_pool_scrape_errors_total{name="p",model_server_pod="a",reason="timeout"} 1"#)
        .tried_target(&before, load(9.0, 1.0, 0.5))
        .lacks("queue_size")
        .tried_target(&moved, load(2.0, 1.0, 0.5))
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        // Nor of one that is gone.
        .discovered(&[])
        .tried_target(&moved, load(2.0, 1.0, 0.5))
        .lacks("queue_size");
}

#[test]
fn a_source_that_fails_keeps_the_pods_and_shows_for_how_long() {
    let mut scenario = Scenario::new();
    scenario.discovery_fails("connection refused");
    assert_eq!(
        scenario.pool.ready(),
        Err("the pods cannot be found: connection refused".to_owned())
    );
    scenario
        .at(1_000)
        .discovered(&[target("a", Some(true))])
        .tried("a", load(1.0, 1.0, 0.5))
        .has(r#"inference_pool_discovery_age_seconds{name="p"} 0"#)
        .at(2_000)
        .discovery_fails("connection refused")
        .at(3_000)
        .discovery_fails("timeout")
        .at(3_500)
        .has(r#"inference_pool_discovery_age_seconds{name="p"} 1.5"#)
        .has(r#"inference_pool_average_queue_size{name="p"} 1"#)
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .at(60_000)
        .tried("a", load(4.0, 1.0, 0.5))
        .has(r#"inference_pool_average_queue_size{name="p"} 4"#)
        .has(r#"inference_pool_discovery_age_seconds{name="p"} 58"#)
        .discovered(&[target("a", Some(true))])
        .has(r#"inference_pool_discovery_age_seconds{name="p"} 0"#)
        .has(r#"inference_pool_average_queue_size{name="p"} 4"#);
    assert_eq!(scenario.pool.ready(), Ok(()));
}

#[test]
fn a_pod_without_an_address_is_not_waited_for() {
    let mut scenario = Scenario::new();
    let pending = Target {
        url: None,
        ..target("a", Some(false))
    };
    scenario
        .discovered(&[pending])
        .has(r#"inference_pool_pods{name="p",state="not_ready"} 1"#);
    assert_eq!(scenario.pool.ready(), Ok(()));
}

#[test]
fn adapters_are_shown_by_pod_and_state_while_they_are_in_use() {
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[target("a", None), target("b", None), target("c", None)])
        .tried("a", with_adapters(&["x", "y"], &["y"]))
        .tried("b", with_adapters(&[], &[]))
        .tried("c", load(1.0, 1.0, 0.5))
        .shows_of(
            "adapter",
            r#"
            inference_pool_per_pod_adapters{name="p",model_server_pod="a",state="running"} 2
            inference_pool_per_pod_adapters{name="p",model_server_pod="a",state="waiting"} 1
            inference_pool_per_pod_adapters{name="p",model_server_pod="b",state="running"} 0
            inference_pool_per_pod_adapters{name="p",model_server_pod="b",state="waiting"} 0
            inference_pool_per_pod_max_adapters{name="p",model_server_pod="a"} 2
            inference_pool_per_pod_max_adapters{name="p",model_server_pod="b"} 2
            inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="x",state="running"} 1
            inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="y",state="running"} 1
            inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="y",state="waiting"} 1
            "#,
        )
        // One that no request uses any more is not there; how many can run is not said.
        .at(1_000)
        .tried(
            "a",
            Ok(ServerLoad {
                adapters: Some(Adapters {
                    max: None,
                    running: vec!["y".to_owned()],
                    waiting: Vec::new(),
                }),
                ..ServerLoad::default()
            }),
        )
        .discovered(&[target("a", None)])
        .at(3_999)
        .shows_of(
            "adapter",
            r#"
            inference_pool_per_pod_adapters{name="p",model_server_pod="a",state="running"} 1
            inference_pool_per_pod_adapters{name="p",model_server_pod="a",state="waiting"} 0
            inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="y",state="running"} 1
            "#,
        )
        // Stale as a load is.
        .at(4_000)
        .lacks("adapter");
}

#[test]
fn more_adapters_than_are_named_still_count() {
    let names: Vec<_> = (0..100).map(|name| name.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[target("a", None)])
        .tried("a", with_adapters(&names, &["x\"\\\n{}"]))
        .has(r#"inference_pool_per_pod_adapters{name="p",model_server_pod="a",state="running"} 100"#)
        .has(r#"inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="63",state="running"} 1"#)
        .lacks(r#"adapter_name="64""#)
        .has(
            r#"inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="x\"\\\n{}",state="waiting"} 1"#,
        );
}

#[test]
fn hostile_names_are_escaped() {
    let mut odd = target("a", Some(true));
    odd.name = Arc::from("a\"b\\c\nd");
    Scenario::new()
        .discovered(std::slice::from_ref(&odd))
        .tried_target(&odd, load(1.0, 1.0, 0.5))
        .has(r#"inference_pool_per_pod_queue_size{name="p",model_server_pod="a\"b\\c\nd"} 1"#);
}

#[test]
fn the_readme_describes_every_family() {
    let readme = include_str!("../../../docs/metrics.md");
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[target("a", None)])
        .tried("a", Err(Reason::Connect))
        .tried("a", with_adapters(&["x"], &[]));
    let families = scenario.pool.families(scenario.now());
    assert_eq!(families.len(), 15);
    for family in families {
        let row = family.readme_row();
        assert!(readme.lines().any(|line| line == row), "README lacks\n{row}");
    }
}
