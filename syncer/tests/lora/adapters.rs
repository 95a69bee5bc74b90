//! What becomes of adapters, whatever the server answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use infertally_sim::{Sim, SimConfig};
use tokio::time::{Instant, sleep};

use crate::stage::{Config, calls, logged, passes, server, stands, start, yaml};

#[tokio::test]
async fn adapters_are_loaded_and_unloaded_in_the_file_s_order_and_the_page_is_exact() {
    let server = Sim::start(SimConfig {
        adapters: vec!["old".to_owned(), "stranger".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = Config::new();
    config.says(&yaml(
        &server,
        "+z=/z +missing=/missing/x +a=/a +both=/b -both -old -never",
    ));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "old", 0, "excluded").await;
    stands(&syncer, "a", 1, "loaded").await;
    assert_eq!(
        calls(&server),
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
async fn a_slow_load_delays_no_other_adapter_and_no_change_of_the_file() {
    let server = server().await;
    let config = Config::new();
    let others: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
    let words: String = others.iter().map(|id| format!(" +{id}=/{id}")).collect();
    let slow = "+slow=/x-sim/delay=60s/slow";
    config.says(&yaml(&server, &format!("{slow}{words}")));
    let syncer = start(&config, &[]).await;
    let begin = Instant::now();
    for id in &others {
        stands(&syncer, id, 1, "loaded").await;
    }
    stands(&syncer, "slow", 0, "loading").await;
    // While it is under way it is not asked for again, a new adapter is loaded, and another source too.
    config.says(&yaml(&server, &format!("{slow} +new=/new +n0=/other -n1")));
    stands(&syncer, "new", 1, "loaded").await;
    stands(&syncer, "n1", 0, "excluded").await;
    stands(&syncer, "n0", 1, "loaded").await;
    passes(&server, 3).await;
    stands(&syncer, "slow", 0, "loading").await;
    assert!(begin.elapsed() < Duration::from_secs(60), "nobody waited for it");
    let calls = calls(&server);
    let loads: Vec<_> = calls
        .iter()
        .take(21)
        .map(|call| call.split(' ').nth(1).unwrap())
        .collect();
    let expected: Vec<_> = std::iter::once("slow")
        .chain(others.iter().map(String::as_str))
        .collect();
    assert_eq!(loads, expected, "in the file's order");
    assert_eq!(calls[21..], ["load new /new", "reload n0 /other", "unload n1"]);
    syncer.terminate().await.unwrap();
}

#[tokio::test]
async fn whatever_the_server_answers_has_its_reason_and_delays_no_other() {
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
        server.always(&format!("/v1/load_lora_adapter#{id}"), fault).unwrap();
    }
    let words: String = faults.iter().map(|(id, ..)| format!("+{id}=/a ")).collect();
    let config = Config::new();
    config.says(&yaml(&server, &format!("{words} +good=/good")));
    let syncer = start(&config, &["--load-timeout", "1s"]).await;
    stands(&syncer, "good", 1, "loaded").await;
    for (id, _, reason) in faults {
        stands(&syncer, id, 0, reason).await;
    }
    // Once the server is well again they are all loaded, by themselves.
    for (id, ..) in faults {
        server.always(&format!("/v1/load_lora_adapter#{id}"), "").unwrap();
    }
    for (id, ..) in faults {
        stands(&syncer, id, 1, "loaded").await;
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_in_the_next_list() {
    let server = server().await;
    // It does what it is asked, and nobody hears of it.
    server.always("/v1/load_lora_adapter#a", "cut=body:3").unwrap();
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "a", 1, "loaded").await;
    passes(&server, 3).await;
    assert_eq!(calls(&server), ["load a /a"]);
}

#[tokio::test]
async fn a_changed_source_is_reloaded_in_place_or_else_unloaded_and_loaded() {
    for loads_in_place in [true, false] {
        let server = Sim::start(SimConfig {
            loads_in_place,
            ..SimConfig::default()
        });
        let server = server.await.unwrap();
        let config = Config::new();
        config.says(&yaml(&server, "+a=/1"));
        let syncer = start(&config, &[]).await;
        stands(&syncer, "a", 1, "loaded").await;
        assert_eq!(calls(&server), ["load a /1"]);
        config.says(&yaml(&server, "+a=/2"));
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
        assert_eq!(calls(&server), expected);
    }
}

#[tokio::test]
async fn base_models_and_strangers_are_never_touched() {
    let server = Sim::start(SimConfig {
        adapters: vec!["stranger".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = Config::new();
    config.says(&yaml(&server, "-tiny"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "tiny", 0, "unload_failed").await;
    config.says(&yaml(&server, "+tiny=/t"));
    stands(&syncer, "tiny", 0, "load_rejected").await;
    passes(&server, 3).await;
    assert_eq!(calls(&server), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_logged_or_asked_for_twice_while_nothing_changes() {
    let server = server().await;
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a +bad=/missing/bad"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "a", 1, "loaded").await;
    stands(&syncer, "bad", 0, "load_failed").await;
    let lines = syncer.log().lines().count();
    // Long enough for a second try of the one that fails, which is no news either.
    sleep(Duration::from_secs(6)).await;
    assert_eq!(syncer.log().lines().count(), lines, "{}", syncer.log());
    assert_eq!(logged(&syncer, "No adapter found for /missing/bad"), 1);
    let calls = calls(&server);
    assert_eq!(calls[..2], ["load a /a", "load bad /missing/bad"]);
    assert!(
        calls[2..].iter().all(|call| call == "load bad /missing/bad"),
        "{calls:?}"
    );
    assert!((2..=4).contains(&calls.len()), "{calls:?}");
}
