use std::collections::BTreeSet;

use infertally_filter::metrics::METRICS;

use super::*;
use crate::exposition::{Kind, Series, Value};

fn family(name: &'static str) -> Family {
    Family {
        name: name.into(),
        help: "Help.".into(),
        kind: Kind::Gauge,
        series: vec![Series {
            labels: vec![("name", "pool".into()), ("model_server_pod", "pod-1".into())],
            value: Value::Float(0.5),
        }],
    }
}

fn names(families: &[Family]) -> Vec<&str> {
    families.iter().map(|family| family.name.as_ref()).collect()
}

#[test]
fn without_a_set_nothing_is_added() {
    let mut families = vec![family("inference_model_request_total")];
    add(&mut families, &[]);
    assert_eq!(names(&families), ["inference_model_request_total"]);
}

#[test]
fn an_alias_is_the_same_series_under_another_name() {
    let mut families = vec![family("inference_pool_ready_pods"), family("inference_pool_pods")];
    add(&mut families, &[AliasSet::LlmDEpp]);
    assert_eq!(
        names(&families),
        [
            "inference_pool_ready_pods",
            "inference_pool_pods",
            "llm_d_epp_ready_endpoints"
        ]
    );
    let [frozen, _, alias] = &families[..] else {
        panic!("{families:?}")
    };
    assert_eq!(
        (alias.kind, alias.help.as_ref()),
        (frozen.kind, "The same as inference_pool_ready_pods: Help.")
    );
    assert_eq!(alias.series[0].value, frozen.series[0].value);
}

#[test]
fn a_label_that_the_version_has_renamed_is_renamed_in_the_alias_alone() {
    let mut families = vec![family("inference_pool_per_pod_queue_size")];
    add(&mut families, &[AliasSet::LlmDEpp]);
    let labels: Vec<_> = families.iter().map(|family| &family.series[0].labels[1]).collect();
    assert_eq!(families[1].name, "llm_d_epp_per_endpoint_queue_size");
    assert_eq!(
        labels,
        [
            &("model_server_pod", "pod-1".into()),
            &("model_server_endpoint", "pod-1".into())
        ]
    );
}

#[test]
fn sets_stand_side_by_side_and_one_that_is_asked_for_twice_is_there_once() {
    let mut families = vec![family("normalized_time_per_output_token_seconds")];
    add(
        &mut families,
        &[
            AliasSet::LlmDEpp,
            AliasSet::InferenceModel,
            AliasSet::InferenceObjective,
            AliasSet::LlmDEpp,
        ],
    );
    assert_eq!(
        names(&families),
        [
            "normalized_time_per_output_token_seconds",
            "inference_model_normalized_time_per_output_token_seconds",
            "inference_objective_normalized_time_per_output_token_seconds",
            "llm_d_epp_request_ntpot_seconds",
        ]
    );
}

#[test]
fn a_set_is_asked_for_by_the_name_it_tells() {
    for set in AliasSet::ALL {
        assert_eq!(set.to_string().parse(), Ok(set));
        assert_eq!(TABLE.iter().filter(|names| names.set == set).count(), 1);
    }
    let error = "llm-d".parse::<AliasSet>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "alias set \"llm-d\": must be inference_model, inference_objective or llm_d_epp"
    );
}

#[test]
fn every_alias_is_a_name_of_its_own() {
    let mut seen: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for names in &TABLE {
        for (_, other) in names.families {
            assert!(seen.insert(other), "{other}");
            assert!(other.starts_with(names.set.as_str()), "{other}");
        }
    }
}

/// A new row of the filter's table wants a decision here.
#[test]
fn every_metric_of_the_filter_has_its_name_in_the_newest_set_or_is_known_to_have_none() {
    const ONLY_OURS: [&str; 4] = [
        "inference_model_reasoning_output_tokens",
        "inference_model_finish_reason_total",
        "inference_model_usage_total",
        "inference_model_client_cancelled_total",
    ];
    let newest = TABLE.iter().find(|names| names.set == AliasSet::LlmDEpp).unwrap();
    for metric in METRICS
        .iter()
        .filter(|metric| !metric.name.starts_with("infertally_filter_"))
    {
        let has = newest.families.iter().any(|(frozen, _)| *frozen == metric.name);
        assert!(has != ONLY_OURS.contains(&metric.name), "{}", metric.name);
    }
    // And those that are not the filter's are the pool's.
    for (frozen, _) in TABLE.iter().flat_map(|names| names.families) {
        let is_ours = METRICS.iter().any(|metric| metric.name == *frozen);
        assert!(is_ours || frozen.starts_with("inference_pool_"), "{frozen}");
    }
}
