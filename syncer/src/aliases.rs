//! The names that the guide's metrics have had elsewhere, beside the frozen ones: for dashboards and alerts that were made
//! for another version of the guide's reference implementation. Off unless asked for; the frozen names always stay.
//!
//! An alias is a family of the same series with the same values under another name, and where that version has renamed a
//! label, with that label's other name. Its buckets are ours, which hold all of theirs. The labels that a version has beside
//! the guide's (`priority`, `fairness_id`) say what only that implementation knows, and are not made up.
//!
//! [`AliasSet`] says what each set is taken from. What those versions have and the guide has not (scheduler, flow control,
//! predictions) has no alias.

use std::fmt;
use std::str::FromStr;

use crate::exposition::Family;

/// Names that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasSet {
    /// `inference_model_normalized_time_per_output_token_seconds`, which the guide writes without its prefix.
    ///
    /// kubernetes-sigs/gateway-api-inference-extension, v0.4.0 to v1.0.2, `pkg/epp/metrics/metrics.go`.
    InferenceModel,
    /// `inference_objective_*`. The pool's names are the guide's there.
    ///
    /// The same repository and file, v1.1.0 to v1.5.0 (`prompt_cached_tokens` from v1.2.0 on). llm-d/llm-d-router serves
    /// them, too, as deprecated ones.
    InferenceObjective,
    /// `llm_d_epp_*`.
    ///
    /// llm-d/llm-d-router, v0.9.0 and v0.10.0, `pkg/epp/metrics/llm_d_router_metrics.go`. `promtool check metrics` takes
    /// the `d` in them for an abbreviated unit, days.
    LlmDEpp,
}

/// A name that is no set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("alias set {0:?}: must be inference_model, inference_objective or llm_d_epp")]
pub struct UnknownAliasSet(String);

/// The names of a set.
#[derive(Clone, Copy, Debug)]
struct Names {
    set: AliasSet,
    /// The frozen name of a family, and its other one.
    families: &'static [(&'static str, &'static str)],
    /// The same of a label.
    labels: &'static [(&'static str, &'static str)],
}

/// All aliases.
const TABLE: [Names; 3] = [
    Names {
        set: AliasSet::InferenceModel,
        families: &[(
            "normalized_time_per_output_token_seconds",
            "inference_model_normalized_time_per_output_token_seconds",
        )],
        labels: &[],
    },
    Names {
        set: AliasSet::InferenceObjective,
        families: &[
            ("inference_model_request_total", "inference_objective_request_total"),
            (
                "inference_model_request_error_total",
                "inference_objective_request_error_total",
            ),
            (
                "inference_model_request_duration_seconds",
                "inference_objective_request_duration_seconds",
            ),
            (
                "normalized_time_per_output_token_seconds",
                "inference_objective_normalized_time_per_output_token_seconds",
            ),
            ("inference_model_request_sizes", "inference_objective_request_sizes"),
            ("inference_model_response_sizes", "inference_objective_response_sizes"),
            ("inference_model_input_tokens", "inference_objective_input_tokens"),
            ("inference_model_output_tokens", "inference_objective_output_tokens"),
            (
                "inference_model_cached_input_tokens",
                "inference_objective_prompt_cached_tokens",
            ),
            (
                "inference_model_running_requests",
                "inference_objective_running_requests",
            ),
        ],
        labels: &[],
    },
    Names {
        set: AliasSet::LlmDEpp,
        families: &[
            ("inference_model_request_total", "llm_d_epp_request_total"),
            ("inference_model_request_error_total", "llm_d_epp_request_error_total"),
            (
                "inference_model_request_duration_seconds",
                "llm_d_epp_request_duration_seconds",
            ),
            (
                "normalized_time_per_output_token_seconds",
                "llm_d_epp_request_ntpot_seconds",
            ),
            ("inference_model_request_sizes", "llm_d_epp_request_size_bytes"),
            ("inference_model_response_sizes", "llm_d_epp_response_size_bytes"),
            ("inference_model_input_tokens", "llm_d_epp_request_input_tokens"),
            ("inference_model_output_tokens", "llm_d_epp_request_output_tokens"),
            ("inference_model_cached_input_tokens", "llm_d_epp_request_cached_tokens"),
            ("inference_model_running_requests", "llm_d_epp_request_running"),
            (
                "inference_pool_average_kv_cache_utilization",
                "llm_d_epp_average_kv_cache_utilization",
            ),
            ("inference_pool_average_queue_size", "llm_d_epp_average_queue_size"),
            (
                "inference_pool_average_running_requests",
                "llm_d_epp_average_running_requests",
            ),
            ("inference_pool_per_pod_queue_size", "llm_d_epp_per_endpoint_queue_size"),
            ("inference_pool_ready_pods", "llm_d_epp_ready_endpoints"),
            ("inference_extension_info", "llm_d_epp_info"),
        ],
        labels: &[("model_server_pod", "model_server_endpoint")],
    },
];

/// Adds the aliases of these sets behind the families that are there. One whose frozen family is not there is not made.
pub fn add(families: &mut Vec<Family>, sets: &[AliasSet]) {
    let mut aliases = Vec::new();
    for names in TABLE.iter().filter(|names| sets.contains(&names.set)) {
        for (frozen, other) in names.families {
            let family = families.iter().find(|family| family.name == *frozen);
            aliases.extend(family.map(|family| names.alias(family, other)));
        }
    }
    families.append(&mut aliases);
}

// === impl Names ===

impl Names {
    fn alias(&self, family: &Family, name: &'static str) -> Family {
        let mut alias = Family {
            name: name.into(),
            help: format!("The same as {}: {}", family.name, family.help).into(),
            ..family.clone()
        };
        for (label, _) in alias.series.iter_mut().flat_map(|series| &mut series.labels) {
            if let Some((_, other)) = self.labels.iter().find(|(frozen, _)| frozen == label) {
                *label = other;
            }
        }
        alias
    }
}

// === impl AliasSet ===

impl AliasSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InferenceModel, Self::InferenceObjective, Self::LlmDEpp];

    /// Its name, as it is asked for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InferenceModel => "inference_model",
            Self::InferenceObjective => "inference_objective",
            Self::LlmDEpp => "llm_d_epp",
        }
    }
}

impl fmt::Display for AliasSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AliasSet {
    type Err = UnknownAliasSet;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut sets = Self::ALL.into_iter();
        sets.find(|set| set.as_str() == name)
            .ok_or_else(|| UnknownAliasSet(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
