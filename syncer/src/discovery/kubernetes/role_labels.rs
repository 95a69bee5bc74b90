//! [`RoleLabels`], the pod labels that hold a pod's role in a disaggregated pool.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::target::Role;

/// The Gateway API Inference Extension's and llm-d's.
const DEFAULT: [&str; 2] = ["inference.networking.k8s.io/role", "llm-d.ai/role"];

/// Names of labels. Of several that a pod has, the first of these counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleLabels(Arc<[String]>);

// === impl RoleLabels ===

impl Default for RoleLabels {
    fn default() -> Self {
        Self(DEFAULT.map(str::to_owned).into())
    }
}

impl RoleLabels {
    /// These labels instead of the default ones.
    pub fn new(names: &[String]) -> Self {
        Self(names.into())
    }

    /// The pod's role. An empty label is none.
    pub(super) fn role(&self, pod: &Pod) -> Option<Role> {
        let labels = pod.metadata.labels.as_ref()?;
        let mut values = self.0.iter().filter_map(|name| labels.get(name));
        values.find_map(|value| value.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(labels: &RoleLabels, of_pod: Value) -> Option<String> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"labels": of_pod}})).unwrap();
        labels.role(&pod).map(|role| role.label().to_string())
    }

    #[test]
    fn the_first_label_that_names_a_role_counts() {
        let labels = RoleLabels::default();
        assert_eq!(role(&labels, Value::Null), None);
        assert_eq!(role(&labels, json!({"app": "x", "role": "decode"})), None);
        assert_eq!(
            role(&labels, json!({"llm-d.ai/role": "decode"})).as_deref(),
            Some("decode")
        );
        let both = json!({"llm-d.ai/role": "decode", "inference.networking.k8s.io/role": "prefill"});
        assert_eq!(role(&labels, both).as_deref(), Some("prefill"));
        let empty = json!({"llm-d.ai/role": "decode", "inference.networking.k8s.io/role": ""});
        assert_eq!(role(&labels, empty).as_deref(), Some("decode"));
    }

    #[test]
    fn configured_labels_replace_the_default_ones() {
        let labels = RoleLabels::new(&["a".to_owned(), "b/c".to_owned()]);
        assert_eq!(role(&labels, json!({"llm-d.ai/role": "decode"})), None);
        assert_eq!(role(&labels, json!({"b/c": "x", "a": "y"})).as_deref(), Some("y"));
    }
}
