//! Loading and unloading, whatever the server replies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use infertally_sim::{Sim, SimConfig};
use tokio::time::{Instant, sleep};

use crate::support::{Config, lines_with, server, start, take_operations, wait_for_polls, wait_for_status, yaml};

#[tokio::test]
async fn adapters_are_loaded_and_unloaded_in_file_order_and_metrics_are_exact() {
    let server = Sim::start(SimConfig {
        adapters: vec!["old".to_owned(), "unlisted".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = Config::new();
    config.write(&yaml(
        &server,
        "+z=/z +missing=/missing/x +a=/a +both=/b -both -old -never",
    ));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "old", 0, "excluded").await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(
        take_operations(&server),
        ["load z /z", "load missing /missing/x", "load a /a", "unload old"]
    );
    let page = syncer.metrics().await.unwrap();
    let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            r#"lora_syncer_adapter_status{adapter_name="z"} 1"#,
            r#"lora_syncer_adapter_status{adapter_name="missing"} 0"#,
            r#"lora_syncer_adapter_status{adapter_name="a"} 1"#,
            r#"lora_syncer_adapter_status{adapter_name="old"} 0"#,
            r#"lora_syncer_adapter_status{adapter_name="never"} 0"#,
            r#"lora_syncer_adapter_status{adapter_name="both"} 0"#,
            r#"lora_syncer_adapter_desired{adapter_name="z"} 1"#,
            r#"lora_syncer_adapter_desired{adapter_name="missing"} 1"#,
            r#"lora_syncer_adapter_desired{adapter_name="a"} 1"#,
            r#"lora_syncer_adapter_desired{adapter_name="old"} 0"#,
            r#"lora_syncer_adapter_desired{adapter_name="never"} 0"#,
            r#"lora_syncer_adapter_info{adapter_name="z",reason="loaded",source="/z"} 1"#,
            r#"lora_syncer_adapter_info{adapter_name="missing",reason="load_failed",source="/missing/x"} 1"#,
            r#"lora_syncer_adapter_info{adapter_name="a",reason="loaded",source="/a"} 1"#,
            r#"lora_syncer_adapter_info{adapter_name="old",reason="excluded",source=""} 1"#,
            r#"lora_syncer_adapter_info{adapter_name="never",reason="excluded",source=""} 1"#,
            r#"lora_syncer_adapter_info{adapter_name="both",reason="conflict",source=""} 1"#,
            r#"lora_syncer_operations_total{operation="load",result="load_failed"} 1"#,
            r#"lora_syncer_operations_total{operation="load",result="ok"} 2"#,
            r#"lora_syncer_operations_total{operation="unload",result="ok"} 1"#,
            "lora_syncer_config_valid 1",
        ]
    );
}

#[tokio::test]
async fn slow_load_delays_neither_other_adapters_nor_a_changed_file() {
    let server = server().await;
    let config = Config::new();
    let others: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
    let list: String = others.iter().map(|id| format!(" +{id}=/{id}")).collect();
    let slow = "+slow=/x-sim/delay=60s/slow";
    config.write(&yaml(&server, &format!("{slow}{list}")));
    let syncer = start(&config, &[]).await;
    let begin = Instant::now();
    for id in &others {
        wait_for_status(&syncer, id, 1, "loaded").await;
    }
    wait_for_status(&syncer, "slow", 0, "loading").await;
    // While its load is in flight it is not requested again; a new adapter and a changed source are loaded.
    config.write(&yaml(&server, &format!("{slow} +new=/new +n0=/other -n1")));
    wait_for_status(&syncer, "new", 1, "loaded").await;
    wait_for_status(&syncer, "n1", 0, "excluded").await;
    wait_for_status(&syncer, "n0", 1, "loaded").await;
    wait_for_polls(&server, 3).await;
    wait_for_status(&syncer, "slow", 0, "loading").await;
    assert!(
        begin.elapsed() < Duration::from_secs(60),
        "the slow load must not be waited for"
    );
    let operations = take_operations(&server);
    let loads: Vec<_> = operations
        .iter()
        .take(21)
        .map(|operation| operation.split(' ').nth(1).unwrap())
        .collect();
    let expected: Vec<_> = std::iter::once("slow")
        .chain(others.iter().map(String::as_str))
        .collect();
    assert_eq!(loads, expected, "in file order");
    assert_eq!(operations[21..], ["load new /new", "reload n0 /other", "unload n1"]);
    syncer.terminate().await.unwrap();
}

#[tokio::test]
async fn every_failure_has_its_reason_and_delays_no_other_adapter() {
    let server = server().await;
    let faults = [
        ("hang", "hang=headers", "timeout"),
        ("slow", "delay=30s", "timeout"),
        ("cut", "cut=headers", "unreachable"),
        ("bad", "status=400", "load_rejected"),
        ("many", "status=429", "load_rejected"),
        ("denied", "status=401", "unauthorized"),
        ("forbidden", "status=403", "unauthorized"),
        ("broken", "status=500", "load_failed"),
        ("away", "status=503;body=garbage", "load_failed"),
        ("none", "status=404", "load_failed"),
        ("moved", "status=302;body=none", "load_rejected"),
        ("liar", "status=200;body=garbage", "load_failed"),
    ];
    for (id, fault, _) in faults {
        server
            .set_behaviour(&format!("/v1/load_lora_adapter#{id}"), fault)
            .unwrap();
    }
    let list: String = faults.iter().map(|(id, ..)| format!("+{id}=/a ")).collect();
    let config = Config::new();
    config.write(&yaml(&server, &format!("{list} +good=/good")));
    let syncer = start(&config, &["--load-timeout", "1s"]).await;
    wait_for_status(&syncer, "good", 1, "loaded").await;
    for (id, _, reason) in faults {
        wait_for_status(&syncer, id, 0, reason).await;
    }
    // Without the faults, retries load them all.
    for (id, ..) in faults {
        server
            .set_behaviour(&format!("/v1/load_lora_adapter#{id}"), "")
            .unwrap();
    }
    for (id, ..) in faults {
        wait_for_status(&syncer, id, 1, "loaded").await;
    }
}

#[tokio::test]
async fn effect_of_a_lost_response_is_found_in_the_next_list() {
    let server = server().await;
    // The load takes effect, and its response is cut off.
    server.set_behaviour("/v1/load_lora_adapter#a", "cut=body:3").unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_polls(&server, 3).await;
    assert_eq!(take_operations(&server), ["load a /a"]);
}

#[tokio::test]
async fn changed_source_is_reloaded_in_place_else_unloaded_and_loaded() {
    for loads_in_place in [true, false] {
        let server = Sim::start(SimConfig {
            supports_load_inplace: loads_in_place,
            ..SimConfig::default()
        });
        let server = server.await.unwrap();
        let config = Config::new();
        config.write(&yaml(&server, "+a=/1"));
        let syncer = start(&config, &[]).await;
        wait_for_status(&syncer, "a", 1, "loaded").await;
        assert_eq!(take_operations(&server), ["load a /1"]);
        config.write(&yaml(&server, "+a=/2"));
        syncer
            .shows(
                &[
                    r#"lora_syncer_adapter_info{adapter_name="a",reason="loaded",source="/2"} 1"#,
                    r#"lora_syncer_adapter_status{adapter_name="a"} 1"#,
                ],
                &[],
            )
            .await
            .unwrap();
        let expected: &[&str] = match loads_in_place {
            true => &["reload a /2"],
            false => &["reload a /2", "unload a", "load a /2"],
        };
        assert_eq!(take_operations(&server), expected);
    }
}

#[tokio::test]
async fn base_models_and_unlisted_adapters_are_left_alone() {
    let server = Sim::start(SimConfig {
        adapters: vec!["unlisted".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "-tiny"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "tiny", 0, "unload_failed").await;
    config.write(&yaml(&server, "+tiny=/t"));
    wait_for_status(&syncer, "tiny", 0, "load_rejected").await;
    wait_for_polls(&server, 3).await;
    assert_eq!(take_operations(&server), Vec::<String>::new());
}

#[tokio::test]
async fn unchanged_status_is_logged_and_requested_once() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a +bad=/missing/bad"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_status(&syncer, "bad", 0, "load_failed").await;
    let lines = syncer.log().lines().count();
    // Long enough for a retry of the one that fails, which is not logged again.
    sleep(Duration::from_secs(6)).await;
    assert_eq!(syncer.log().lines().count(), lines, "{}", syncer.log());
    assert_eq!(lines_with(&syncer, "No adapter found for /missing/bad"), 1);
    let operations = take_operations(&server);
    assert_eq!(operations[..2], ["load a /a", "load bad /missing/bad"]);
    assert!(
        operations[2..]
            .iter()
            .all(|operation| operation == "load bad /missing/bad"),
        "{operations:?}"
    );
    assert!((2..=4).contains(&operations.len()), "{operations:?}");
}
