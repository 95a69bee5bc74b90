//! Roles of the pods of a disaggregated pool.

use super::scenario::{Scenario, load, target, with_adapters};
use crate::scrape_status::Reason;
use crate::target::Target;

fn of_role(role: &str, target: Target) -> Target {
    Target {
        role: Some(role.parse().unwrap()),
        ..target
    }
}

#[test]
fn every_series_of_a_pod_with_a_role_has_it_and_no_other_series_changes() {
    let mut scenario = Scenario::new();
    scenario
        .discovered(&[target("a", None), of_role("decode", target("b", None))])
        .scraped("a", Err(Reason::Connect))
        .scraped("a", with_adapters(&["x"], &[]))
        .scraped("b", Err(Reason::Connect))
        .scraped("b", with_adapters(&["x"], &[]));
    let series = scenario.series();
    let of_pod = |part: &str| -> Vec<_> {
        let lines = series.iter().filter_map(|line| {
            let (name, labels) = line.split_once('{')?;
            labels.starts_with(part).then(|| name.to_owned())
        });
        lines.collect()
    };
    let without = of_pod(r#"name="p",model_server_pod="a"}"#).len() + of_pod(r#"name="p",model_server_pod="a","#).len();
    let with = of_pod(r#"name="p",model_server_pod="b",role="decode""#);
    assert_eq!(with.len(), without);
    assert!(!of_pod(r#"name="p",model_server_pod="a""#).is_empty());
    scenario
        .lacks(r#"model_server_pod="a",role"#)
        .has(r#"inference_pool_average_queue_size{name="p"} 1"#)
        .has(r#"inference_pool_pod_ready{name="p",model_server_pod="b",role="decode"} 1"#)
        .has(
            r#"inference_pool_per_pod_adapter_info{name="p",model_server_pod="b",role="decode",adapter_name="x",state="running"} 1"#,
        );
}

#[test]
fn ready_pods_of_a_role_fall_to_0_and_its_averages_disappear() {
    Scenario::new()
        .discovered(&[
            of_role("prefill", target("a", None)),
            of_role("decode", target("b", None)),
        ])
        .scraped("a", load(4.0, 1.0, 0.5))
        .scraped("b", load(2.0, 3.0, 0.25))
        .shows_of(
            "inference_pool_role",
            r#"
            inference_pool_role_average_kv_cache_utilization{name="p",role="prefill"} 0.5
            inference_pool_role_average_kv_cache_utilization{name="p",role="decode"} 0.25
            inference_pool_role_average_queue_size{name="p",role="prefill"} 4
            inference_pool_role_average_queue_size{name="p",role="decode"} 2
            inference_pool_role_average_running_requests{name="p",role="prefill"} 1
            inference_pool_role_average_running_requests{name="p",role="decode"} 3
            inference_pool_role_saturation{name="p",role="prefill"} 0.8
            inference_pool_role_saturation{name="p",role="decode"} 0.4
            inference_pool_role_ready_pods{name="p",role="prefill"} 1
            inference_pool_role_ready_pods{name="p",role="decode"} 1
            "#,
        )
        .discovered(&[of_role("prefill", target("a", None))])
        .shows_of(
            r#"role="decode""#,
            r#"inference_pool_role_ready_pods{name="p",role="decode"} 0"#,
        );
}

#[test]
fn a_pod_whose_role_changes_keeps_its_load() {
    Scenario::new()
        .discovered(&[target("a", Some(true))])
        .scraped("a", load(4.0, 1.0, 0.5))
        .lacks("role")
        .discovered(&[of_role("decode", target("a", Some(true)))])
        .has(r#"inference_pool_per_pod_queue_size{name="p",model_server_pod="a",role="decode"} 4"#)
        .has(r#"inference_pool_role_average_queue_size{name="p",role="decode"} 4"#)
        .lacks(r#"model_server_pod="a"}"#);
}

#[test]
fn roles_over_the_limit_are_one() {
    let targets: Vec<_> = (10..40)
        .map(|pod| of_role(&format!("r{pod}"), target(&format!("p{pod}"), Some(true))))
        .collect();
    let mut scenario = Scenario::new();
    scenario
        .discovered(&targets)
        .has(r#"inference_pool_role_ready_pods{name="p",role="r24"} 1"#)
        .has(r#"inference_pool_role_ready_pods{name="p",role="other"} 15"#)
        .lacks(r#"role="r25""#)
        .has(r#"inference_pool_pod_ready{name="p",model_server_pod="p25",role="other"} 1"#);
    // Those that have a label keep it whatever comes.
    let mut more = targets;
    more.push(of_role("a", target("a", Some(true))));
    scenario
        .discovered(&more)
        .has(r#"inference_pool_role_ready_pods{name="p",role="other"} 16"#)
        .has(r#"inference_pool_role_ready_pods{name="p",role="r24"} 1"#);
    assert_eq!(
        scenario
            .series()
            .iter()
            .filter(|line| line.contains("role_ready_pods"))
            .count(),
        16
    );
}
