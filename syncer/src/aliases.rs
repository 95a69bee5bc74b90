//! Adds copies of families under the names of other projects and versions, for dashboards and alerts that were written for
//! those. Opt-in; the guide's names, which are those of the Gateway API Inference Extension v0.4 to v1.0, are always served.
//!
//! An alias has the same series and values, with labels renamed where that version renamed them. Its buckets include all
//! of that version's. Labels that the guide does not have (`priority`, `fairness_id`) are known only to an endpoint picker
//! and are not added. Neither are metrics of its scheduler, flow control and predictions.
//!
//! The standard deviations of `llm_d_epp` have no counterpart among the guide's metrics: `pool` computes them.

use std::fmt;
use std::str::FromStr;

use crate::exposition::Family;

/// A set of names. Each variant gives the source that it was verified against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasSet {
    /// `inference_model_normalized_time_per_output_token_seconds`, which the guide has without the prefix.
    ///
    /// Source: kubernetes-sigs/gateway-api-inference-extension v0.4.0 to v1.0.2, `pkg/epp/metrics/metrics.go`.
    InferenceModel,
    /// `inference_objective_*`. The names of the pool's metrics are the guide's.
    ///
    /// Source: the same repository and file, v1.1.0 to v1.5.0 (`prompt_cached_tokens` since v1.2.0). llm-d/llm-d-router
    /// serves these names, too, as deprecated ones.
    ///
    /// Without alias: `request_ttft_seconds` and `request_tpot_seconds` (since v1.2.0, with the latency predictor).
    InferenceObjective,
    /// `llm_d_epp_*`.
    ///
    /// Source: llm-d/llm-d-router v0.9.0 and v0.10.0, `pkg/epp/metrics/llm_d_router_metrics.go`. `promtool check metrics`
    /// reports the `d` in the names as an abbreviated unit, days.
    ///
    /// Without alias: `request_ttft_seconds`, `request_streaming_tpot_seconds` and `request_streaming_itl_seconds`.
    LlmDEpp,
}

/// A name that is not one of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown alias set {0:?}: expected inference_model, inference_objective or llm_d_epp")]
pub struct UnknownAliasSet(String);

/// The renamed families and labels of a set, each as the guide's name and the other name.
#[derive(Clone, Copy, Debug)]
struct Names {
    set: AliasSet,
    families: &'static [(&'static str, &'static str)],
    labels: &'static [(&'static str, &'static str)],
}

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

/// Appends the aliases of these sets. A family that is absent has no alias.
pub fn add(families: &mut Vec<Family>, sets: &[AliasSet]) {
    let mut aliases = Vec::new();
    for names in TABLE.iter().filter(|names| sets.contains(&names.set)) {
        for (name, other) in names.families {
            let family = families.iter().find(|family| family.name == *name);
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
            help: format!("Same as {}: {}", family.name, family.help).into(),
            ..family.clone()
        };
        for (label, _) in alias.series.iter_mut().flat_map(|series| &mut series.labels) {
            if let Some((_, other)) = self.labels.iter().find(|(name, _)| name == label) {
                *label = other;
            }
        }
        alias
    }
}

// === impl AliasSet ===

impl AliasSet {
    /// All sets.
    pub const ALL: [Self; 3] = [Self::InferenceModel, Self::InferenceObjective, Self::LlmDEpp];

    /// The name, as `--alias` has it.
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
