//! Scenarios: a sequence of updates and scrapes, and the exact page after each step.

mod adapters;
mod roles;
mod rollouts;
mod scenario;
mod several;

use std::sync::Arc;

use scenario::{Scenario, load, target, with_adapters};

use crate::engine::ServerLoad;
use crate::exposition::test_util::{lines, series};
use crate::scrape_status::Reason;
use crate::target::Target;

#[test]
fn a_pool_before_discovery_has_no_ready_pods_and_no_averages() {
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
    assert_eq!(
        scenario.pool.ready(),
        Err("discovery of pods has not completed".to_owned())
    );
}

/// The reference implementation divides integers (0 and 1 give 0) and reads a vLLM metric that no longer exists (0 instead
/// of 0.000733).
#[test]
fn averages_are_exact_means_of_fresh_loads() {
    let mut scenario = Scenario::new();
    scenario.discovered(&[target("b", None), target("a", None)]);
    assert_eq!(
        scenario.pool.ready(),
        Err("2 of 2 pods have not been scraped yet".to_owned())
    );
    scenario
        .at(1_000)
        .scraped("a", load(1.0, 3.0, 0.000733))
        .at(2_000)
        .scraped("b", load(0.0, 2.0, 0.5))
        .at(2_500)
        .shows(
            r#"
            inference_pool_average_kv_cache_utilization{name="p"} 0.2503665
            inference_pool_average_queue_size{name="p"} 0.5
            inference_pool_per_pod_queue_size{name="p",model_server_pod="a"} 1
            inference_pool_per_pod_queue_size{name="p",model_server_pod="b"} 0
            inference_pool_ready_pods{name="p"} 2
            inference_pool_average_running_requests{name="p"} 2.5
            inference_pool_saturation{name="p"} 0.35
            inference_pool_per_pod_running_requests{name="p",model_server_pod="a"} 3
            inference_pool_per_pod_running_requests{name="p",model_server_pod="b"} 2
            inference_pool_per_pod_kv_cache_utilization{name="p",model_server_pod="a"} 0.000733
            inference_pool_per_pod_kv_cache_utilization{name="p",model_server_pod="b"} 0.5
            inference_pool_pod_ready{name="p",model_server_pod="a"} 1
            inference_pool_pod_ready{name="p",model_server_pod="b"} 1
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
fn a_pod_without_a_value_is_not_averaged_as_zero() {
    let only_queue = Ok(ServerLoad {
        waiting: Some(4.0),
        ..ServerLoad::default()
    });
    Scenario::new()
        .discovered(&[target("a", None), target("b", None)])
        .scraped("a", only_queue)
        .scraped("b", load(1.0, 1.0, 0.25))
        .has(r#"inference_pool_average_queue_size{name="p"} 2.5"#)
        .has(r#"inference_pool_average_kv_cache_utilization{name="p"} 0.25"#)
        .has(r#"inference_pool_average_running_requests{name="p"} 1"#)
        .lacks(r#"kv_cache_utilization{name="p",model_server_pod="a""#)
        .has(r#"inference_pool_ready_pods{name="p"} 2"#);
}

#[test]
fn standard_deviations_are_those_of_the_sample_and_only_in_their_own_families() {
    let mut scenario = Scenario::new();
    let std_dev = |scenario: &Scenario| series(&scenario.pool.std_dev_families(scenario.now()));
    scenario.discovered(&[
        target("a", None),
        target("b", None),
        target("c", None),
        target("d", None),
    ]);
    assert!(std_dev(&scenario).is_empty());
    scenario.scraped("a", load(2.0, 1.0, 0.5)).lacks("llm_d_epp");
    let single = lines(
        r#"
        llm_d_epp_std_dev_kv_cache_utilization{name="p"} 0
        llm_d_epp_std_dev_queue_size{name="p"} 0
        llm_d_epp_std_dev_running_requests{name="p"} 0
        "#,
    );
    assert_eq!(std_dev(&scenario), single);
    // Squares of the distances from the means 4, 2 and 0.5: 4 + 4 + 0, 1 + 1 + 0 and 0.
    scenario
        .scraped("b", load(6.0, 3.0, 0.5))
        .scraped("c", load(4.0, 2.0, 0.5))
        .scraped("d", Err(Reason::Connect));
    let several = lines(
        r#"
        llm_d_epp_std_dev_kv_cache_utilization{name="p"} 0
        llm_d_epp_std_dev_queue_size{name="p"} 2
        llm_d_epp_std_dev_running_requests{name="p"} 1
        "#,
    );
    assert_eq!(std_dev(&scenario), several);
    scenario.at(3_000);
    assert!(std_dev(&scenario).is_empty());
}

/// The reference implementation keeps the last values forever, and reports two ready pods after the last is gone.
#[test]
fn a_pod_that_dies_keeps_its_load_until_it_is_stale() {
    Scenario::new()
        .discovered(&[target("a", None)])
        .scraped("a", load(7.0, 1.0, 0.5))
        .at(1_000)
        .scraped("a", Err(Reason::Connect))
        .at(2_999)
        .scraped("a", Err(Reason::Timeout))
        .has(r#"inference_pool_average_queue_size{name="p"} 7"#)
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="ready"} 1"#)
        // Only time passes.
        .at(3_000)
        .shows(
            r#"
            inference_pool_ready_pods{name="p"} 0
            inference_pool_pod_ready{name="p",model_server_pod="a"} 0
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
        // It responds again.
        .at(9_000)
        .scraped("a", load(2.0, 0.0, 0.0))
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        .has(r#"inference_pool_average_kv_cache_utilization{name="p"} 0"#)
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .has(r#"inference_pool_scrape_errors_total{name="p",model_server_pod="a",reason="connect"} 1"#);
}

#[test]
fn a_pod_that_responds_without_a_load_is_stale_and_not_averaged() {
    Scenario::new()
        .discovered(&[target("a", None), target("b", None)])
        .scraped("a", load(1.0, 1.0, 0.5))
        .scraped("b", load(3.0, 1.0, 0.5))
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        .at(2_000)
        .scraped("a", load(1.0, 1.0, 0.5))
        .scraped("b", Err(Reason::Parse))
        .at(3_500)
        .scraped("b", Err(Reason::Status))
        .has(r#"inference_pool_average_queue_size{name="p"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="ready"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="stale"} 1"#)
        .lacks(r#"queue_size{name="p",model_server_pod="b""#);
}

/// The larger part of each pod, at most 1.
#[test]
fn saturation_is_the_mean_of_the_larger_of_queue_and_kv_cache() {
    Scenario::new()
        .discovered(&[target("a", None), target("b", None)])
        .scraped("a", load(1.0, 0.0, 0.75))
        .has(r#"inference_pool_saturation{name="p"} 0.75"#)
        .scraped("b", load(500.0, 0.0, 0.25))
        .has(r#"inference_pool_saturation{name="p"} 0.875"#)
        .scraped("a", load(0.0, 0.0, 0.0))
        .has(r#"inference_pool_saturation{name="p"} 0.5"#)
        // Nothing that could be saturated is reported: absent, not 0.
        .scraped("a", Ok(ServerLoad::default()))
        .scraped("b", Ok(ServerLoad::default()))
        .lacks("saturation");
}

#[test]
fn readiness_in_kubernetes_decides_ready_pods_and_scrapes_decide_loads() {
    Scenario::new()
        .discovered(&[
            target("a", Some(true)),
            target("b", Some(false)),
            target("c", Some(true)),
        ])
        .scraped("a", load(1.0, 1.0, 0.5))
        .scraped("b", load(3.0, 1.0, 0.5))
        .scraped("c", Err(Reason::Connect))
        .has(r#"inference_pool_ready_pods{name="p"} 2"#)
        // The load of a pod that is not ready is shown and not averaged.
        .has(r#"inference_pool_average_queue_size{name="p"} 1"#)
        .has(r#"inference_pool_per_pod_queue_size{name="p",model_server_pod="b"} 3"#)
        .has(r#"inference_pool_pod_ready{name="p",model_server_pod="a"} 1"#)
        .has(r#"inference_pool_pod_ready{name="p",model_server_pod="b"} 0"#)
        .has(r#"inference_pool_pod_ready{name="p",model_server_pod="c"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="ready"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="not_ready"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="unreachable"} 1"#)
        // They become unready and keep their loads.
        .discovered(&[
            target("a", Some(false)),
            target("b", Some(false)),
            target("c", Some(false)),
        ])
        .has(r#"inference_pool_ready_pods{name="p"} 0"#)
        .has(r#"inference_pool_per_pod_queue_size{name="p",model_server_pod="a"} 1"#)
        .has(r#"inference_pool_pods{name="p",state="not_ready"} 3"#)
        .lacks("average")
        .lacks("saturation");
}

#[test]
fn series_disappear_with_their_pod_and_an_empty_pool_has_no_averages() {
    Scenario::new()
        .discovered(&[target("a", Some(true)), target("b", Some(true))])
        .scraped("a", load(1.0, 1.0, 0.5))
        .scraped("b", load(3.0, 1.0, 0.5))
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
        // A pod of the same name is a new one.
        .discovered(&[target("a", Some(true))])
        .has(r#"inference_pool_ready_pods{name="p"} 1"#)
        .lacks("queue_size");
}

#[test]
fn a_pod_at_another_address_starts_without_the_old_load() {
    let before = target("a", Some(true));
    let moved = Target {
        url: Some("http://10.0.0.9:8000/metrics".parse().unwrap()),
        ..before.clone()
    };
    Scenario::new()
        .discovered(std::slice::from_ref(&before))
        .scraped("a", Err(Reason::Timeout))
        .scraped("a", load(9.0, 1.0, 0.5))
        .discovered(std::slice::from_ref(&moved))
        .lacks("queue_size")
        // Counters do not fall.
        .has(r#"inference_pool_scrape_errors_total{name="p",model_server_pod="a",reason="timeout"} 1"#)
        .scraped_target(&before, load(9.0, 1.0, 0.5))
        .lacks("queue_size")
        .scraped_target(&moved, load(2.0, 1.0, 0.5))
        .has(r#"inference_pool_average_queue_size{name="p"} 2"#)
        // A scrape of a removed pod is ignored.
        .discovered(&[])
        .scraped_target(&moved, load(2.0, 1.0, 0.5))
        .lacks("queue_size");
}

#[test]
fn failing_discovery_keeps_the_pods_and_reports_for_how_long() {
    let mut scenario = Scenario::new();
    scenario.discovery_fails("connection refused");
    assert_eq!(
        scenario.pool.ready(),
        Err("discovery of pods fails: connection refused".to_owned())
    );
    scenario
        .at(1_000)
        .discovered(&[target("a", Some(true))])
        .scraped("a", load(1.0, 1.0, 0.5))
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
        .scraped("a", load(4.0, 1.0, 0.5))
        .has(r#"inference_pool_average_queue_size{name="p"} 4"#)
        .has(r#"inference_pool_discovery_age_seconds{name="p"} 58"#)
        .discovered(&[target("a", Some(true))])
        .has(r#"inference_pool_discovery_age_seconds{name="p"} 0"#)
        .has(r#"inference_pool_average_queue_size{name="p"} 4"#);
    assert_eq!(scenario.pool.ready(), Ok(()));
}

#[test]
fn a_pod_without_an_address_does_not_delay_readiness() {
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
fn pod_names_are_escaped() {
    let mut pod = target("a", Some(true));
    pod.name = Arc::from("a\"b\\c\nd");
    Scenario::new()
        .discovered(std::slice::from_ref(&pod))
        .scraped_target(&pod, load(1.0, 1.0, 0.5))
        .has(r#"inference_pool_per_pod_queue_size{name="p",model_server_pod="a\"b\\c\nd"} 1"#);
}

#[test]
fn the_documents_describe_every_family() {
    let readme = include_str!("../../../docs/metrics.md");
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[
            target("a", None),
            Target {
                role: Some("decode".parse().unwrap()),
                ..target("b", None)
            },
        ])
        .scraped("a", Err(Reason::Connect))
        .scraped("a", with_adapters(&["x"], &[]))
        .scraped("b", with_adapters(&["x"], &[]));
    let families = scenario.pool.families(scenario.now());
    assert_eq!(families.len(), 22);
    for family in families {
        let row = family.readme_row();
        assert!(readme.lines().any(|line| line == row), "README.md lacks the row\n{row}");
    }
}
