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
fn without_sets_there_are_no_aliases() {
    let mut families = vec![family("inference_model_request_total")];
    add(&mut families, &[]);
    assert_eq!(names(&families), ["inference_model_request_total"]);
}

#[test]
fn an_alias_has_the_same_series_under_another_name() {
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
    let [original, _, alias] = &families[..] else {
        panic!("{families:?}")
    };
    assert_eq!(
        (alias.kind, alias.help.as_ref()),
        (original.kind, "Same as inference_pool_ready_pods: Help.")
    );
    assert_eq!(alias.series[0].value, original.series[0].value);
}

#[test]
fn a_renamed_label_is_renamed_only_in_the_alias() {
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
fn several_sets_are_added_and_duplicates_are_ignored() {
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
fn every_set_parses_from_its_name() {
    for set in AliasSet::ALL {
        assert_eq!(set.to_string().parse(), Ok(set));
        assert_eq!(TABLE.iter().filter(|names| names.set == set).count(), 1);
    }
    let error = "llm-d".parse::<AliasSet>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown alias set \"llm-d\": expected inference_model, inference_objective or llm_d_epp"
    );
}

#[test]
fn aliases_are_unique_and_begin_with_their_sets_name() {
    let mut seen: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for names in &TABLE {
        for (_, other) in names.families {
            assert!(seen.insert(other), "{other}");
            assert!(other.starts_with(names.set.as_str()), "{other}");
        }
    }
}

/// A new metric of the filter needs a decision here.
#[test]
fn every_metric_of_the_filter_has_an_alias_in_the_newest_set_or_is_known_to_have_none() {
    const WITHOUT_ALIAS: [&str; 5] = [
        "inference_model_audio_seconds_total",
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
        let has_alias = newest.families.iter().any(|(name, _)| *name == metric.name);
        assert!(has_alias != WITHOUT_ALIAS.contains(&metric.name), "{}", metric.name);
    }
    // All others are the pool's.
    for (name, _) in TABLE.iter().flat_map(|names| names.families) {
        let is_the_filters = METRICS.iter().any(|metric| metric.name == *name);
        assert!(is_the_filters || name.starts_with("inference_pool_"), "{name}");
    }
}
