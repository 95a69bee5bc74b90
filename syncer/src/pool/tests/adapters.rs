//! LoRA adapters of the pods.

use super::scenario::{Scenario, load, target, with_adapters};
use crate::engine::{Adapters, ServerLoad};

#[test]
fn adapters_in_use_are_reported_by_pod_and_state() {
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[target("a", None), target("b", None), target("c", None)])
        .scraped("a", with_adapters(&["x", "y"], &["y"]))
        .scraped("b", with_adapters(&[], &[]))
        .scraped("c", load(1.0, 1.0, 0.5))
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
        // An adapter that no request uses is not reported. The page lacks the maximum.
        .at(1_000)
        .scraped(
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
        // Adapters become stale with the load.
        .at(4_000)
        .lacks("adapter");
}

#[test]
fn adapters_over_the_limit_are_counted_but_not_named() {
    let names: Vec<_> = (0..100).map(|name| name.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[target("a", None)])
        .scraped("a", with_adapters(&names, &["x\"\\\n{}"]))
        .has(r#"inference_pool_per_pod_adapters{name="p",model_server_pod="a",state="running"} 100"#)
        .has(r#"inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="63",state="running"} 1"#)
        .lacks(r#"adapter_name="64""#)
        .has(
            r#"inference_pool_per_pod_adapter_info{name="p",model_server_pod="a",adapter_name="x\"\\\n{}",state="waiting"} 1"#,
        );
}
