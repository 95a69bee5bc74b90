//! Several pools: their labels, one that fails, and one that is removed.

use std::time::Duration;

use super::scenario::{SETTINGS, load, target};
use crate::exposition::test_util::{lines, series};
use crate::pool::Pools;
use crate::scrape_status::Attempt;
use crate::target::{Discovered, MAX_TARGETS, PoolId, Target};

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

fn ids(ids: &[(&str, &str)]) -> Vec<PoolId> {
    ids.iter()
        .map(|(namespace, name)| PoolId::new(namespace, name))
        .collect()
}

/// A pool with one pod that has this queue.
fn with_pod(pools: &mut Pools, id: &PoolId, waiting: f64) {
    let pod = target("pod-0", Some(true));
    pools.discovered(id, Discovered::Targets(vec![pod.clone()]), now());
    let attempt = Attempt {
        ended_at: now(),
        duration: Duration::from_millis(10),
        result: Ok(load(waiting, 0.0, 0.0).unwrap()),
    };
    pools.scraped(id, &pod, attempt);
}

fn fails(pools: &mut Pools, id: &PoolId) {
    let why = "InferencePool: forbidden".to_owned();
    pools.discovered(id, Discovered::Failing { why }, now());
}

#[track_caller]
fn assert_series(pools: &Pools, part: &str, expected: &str) {
    let mut found = series(&pools.families(now()));
    found.retain(|line| line.contains(part));
    assert_eq!(found, lines(expected));
}

#[tokio::test(start_paused = true)]
async fn pools_of_one_namespace_have_the_label_name_only() {
    let pools_of = ids(&[("a", "chat"), ("a", "code")]);
    let mut pools = Pools::new(pools_of.clone(), None, SETTINGS);
    with_pod(&mut pools, &pools_of[0], 1.0);
    with_pod(&mut pools, &pools_of[1], 2.0);
    assert_series(
        &pools,
        "queue_size",
        r#"
        inference_pool_average_queue_size{name="chat"} 1
        inference_pool_average_queue_size{name="code"} 2
        inference_pool_per_pod_queue_size{name="chat",model_server_pod="pod-0"} 1
        inference_pool_per_pod_queue_size{name="code",model_server_pod="pod-0"} 2
        "#,
    );
    assert!(
        series(&pools.std_dev_families(now()))
            .iter()
            .any(|line| line.contains("code"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_label_namespace_follows_from_the_configuration_not_from_the_pools_that_exist() {
    let mut pools = Pools::new(ids(&[("a", "*"), ("b", "*")]), None, SETTINGS);
    // Pods of the same name in pools of the same name are two series.
    for namespace in ["a", "b"] {
        with_pod(&mut pools, &PoolId::new(namespace, "chat"), 1.0);
        assert_series(
            &pools,
            &format!("per_pod_queue_size{{name=\"chat\",namespace=\"{namespace}\""),
            &format!(
                r#"inference_pool_per_pod_queue_size{{name="chat",namespace="{namespace}",model_server_pod="pod-0"}} 1"#
            ),
        );
    }
    // Even if only one namespace has pools.
    pools.discovered(&PoolId::new("b", "chat"), Discovered::Removed, now());
    assert_series(
        &pools,
        "average_queue_size",
        r#"inference_pool_average_queue_size{name="chat",namespace="a"} 1"#,
    );
    let mut pools = Pools::new(ids(&[("a", "*")]), None, SETTINGS);
    with_pod(&mut pools, &PoolId::new("a", "chat"), 1.0);
    assert_series(
        &pools,
        "average_queue_size",
        r#"inference_pool_average_queue_size{name="chat"} 1"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_from_a_flag_is_the_label_of_the_only_pool() {
    let pools_of = ids(&[("a", "chat")]);
    let mut pools = Pools::new(pools_of.clone(), Some("mine"), SETTINGS);
    with_pod(&mut pools, &pools_of[0], 1.0);
    assert_series(
        &pools,
        "average_queue_size",
        r#"inference_pool_average_queue_size{name="mine"} 1"#,
    );
}

#[tokio::test(start_paused = true)]
async fn the_list_of_a_namespace_has_a_discovery_age_and_nothing_else() {
    let list = ids(&[("a", "*")]);
    let mut pools = Pools::new(list.clone(), None, SETTINGS);
    fails(&mut pools, &list[0]);
    tokio::time::advance(Duration::from_secs(5)).await;
    let chat = PoolId::new("a", "chat");
    pools.discovered(&chat, Discovered::Targets(Vec::new()), now());
    assert_series(
        &pools,
        "name=\"*\"",
        r#"inference_pool_discovery_age_seconds{name="*"} 5"#,
    );
    assert_series(
        &pools,
        "discovery_age",
        r#"
        inference_pool_discovery_age_seconds{name="*"} 5
        inference_pool_discovery_age_seconds{name="chat"} 0
        "#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_fails_holds_the_others_up_neither_in_values_nor_in_readiness() {
    let pools_of = ids(&[("a", "chat"), ("a", "code")]);
    let [chat, code] = &pools_of[..] else { unreachable!() };
    let mut pools = Pools::new(pools_of.clone(), None, SETTINGS);
    assert_eq!(
        pools.ready(),
        Err("pool a/chat: discovery of pods has not completed".to_owned())
    );
    fails(&mut pools, chat);
    // Alone it is not ready.
    assert_eq!(
        pools.ready(),
        Err("pool a/code: discovery of pods has not completed".to_owned())
    );
    fails(&mut pools, code);
    let why = "pool a/chat: discovery of pods fails: InferencePool: forbidden";
    assert_eq!(pools.ready(), Err(why.to_owned()));
    with_pod(&mut pools, code, 2.0);
    assert_eq!(pools.ready(), Ok(()));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_series(
        &pools,
        "discovery_age",
        r#"
        inference_pool_discovery_age_seconds{name="chat"} 2
        inference_pool_discovery_age_seconds{name="code"} 0
        "#,
    );
    assert_series(
        &pools,
        "ready_pods{name=\"chat\"",
        r#"inference_pool_ready_pods{name="chat"} 0"#,
    );
    assert_series(
        &pools,
        "average_queue",
        r#"inference_pool_average_queue_size{name="code"} 2"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_pool_has_no_series_and_scrapes_that_arrive_late_are_ignored() {
    let mut pools = Pools::new(ids(&[("a", "*")]), None, SETTINGS);
    let chat = PoolId::new("a", "chat");
    with_pod(&mut pools, &chat, 1.0);
    pools.discovered(&chat, Discovered::Removed, now());
    let attempt = Attempt {
        ended_at: now(),
        duration: Duration::ZERO,
        result: Ok(load(1.0, 0.0, 0.0).unwrap()),
    };
    pools.scraped(&chat, &target("pod-0", Some(true)), attempt);
    assert_eq!(pools.targets(&chat).count(), 0);
    assert_series(&pools, "chat", "");
}

#[test]
fn the_limit_of_targets_is_that_of_all_pools_together() {
    let pools_of = ids(&[("a", "chat"), ("a", "code")]);
    let [chat, code] = &pools_of[..] else { unreachable!() };
    let targets = |count: usize| -> Vec<Target> {
        (0..count)
            .map(|number| target(&format!("pod-{number}"), Some(true)))
            .collect()
    };
    let mut pools = Pools::new(pools_of.clone(), None, SETTINGS);
    pools.discovered(chat, Discovered::Targets(targets(MAX_TARGETS - 1)), now());
    pools.discovered(code, Discovered::Targets(targets(1)), now());
    assert_eq!(pools.targets(code).count(), 1);
    pools.discovered(code, Discovered::Targets(targets(2)), now());
    assert_eq!(pools.targets(code).count(), 1, "it keeps its last targets");
    pools.discovered(chat, Discovered::Targets(targets(10)), now());
    pools.discovered(code, Discovered::Targets(targets(2)), now());
    assert_eq!(pools.targets(code).count(), 2);
}

/// Families are contiguous, as the text format wants them, though not every pool has every family.
#[tokio::test(start_paused = true)]
async fn families_of_all_pools_are_joined_in_order() {
    let pools_of = ids(&[("a", "empty"), ("a", "full")]);
    let mut pools = Pools::new(pools_of.clone(), None, SETTINGS);
    with_pod(&mut pools, &pools_of[1], 1.0);
    let both = pools.families(now());
    let alone = {
        let mut pools = Pools::new(vec![pools_of[1].clone()], None, SETTINGS);
        with_pod(&mut pools, &pools_of[1], 1.0);
        pools.families(now())
    };
    let names = |families: &[crate::exposition::Family]| -> Vec<String> {
        families.iter().map(|family| family.name.to_string()).collect()
    };
    assert_eq!(names(&both), names(&alone));
}
