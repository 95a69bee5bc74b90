//! [`PoolSpec`], the selector and ports of an InferencePool, read from either version of its API. Pure.
//!
//! Source of the schemas: the CRDs of the Gateway API Inference Extension, v0.5.1 (`v1alpha2`) and v1.0.0 and later (`v1`).

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use kube::core::{DynamicObject, Selector};
use kube::discovery::ApiResource;
use serde::Deserialize;
use serde_json::Value;

/// The CRD allows 8 ports; a later version may allow more.
pub(super) const MAX_PORTS: usize = 64;

/// The versions of the API that are read. They belong to two groups, so a cluster may serve both, with different objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V1Alpha2,
}

/// Which pods belong to the pool, and on which ports they serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolSpec {
    /// Never empty.
    pub selector: BTreeMap<String, String>,
    /// Never empty; the index of a port is its rank.
    pub ports: Vec<NonZeroU16>,
}

/// Why an InferencePool is invalid. The API server validates against the CRD, so this occurs only with a CRD that is newer
/// than this code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidPool {
    #[error("invalid spec: {0}")]
    Spec(String),
    #[error("the selector is empty and would match every pod of the namespace")]
    EmptySelector,
    #[error("{0} target ports, expected 1 to {max}", max = MAX_PORTS)]
    Ports(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecV1 {
    selector: LabelSelector,
    target_ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelSelector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Port {
    number: NonZeroU16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecV1Alpha2 {
    selector: BTreeMap<String, String>,
    target_port_number: NonZeroU16,
}

// === impl Version ===

impl Version {
    /// `group/version`, as in an object's `apiVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "inference.networking.k8s.io/v1",
            Self::V1Alpha2 => "inference.networking.x-k8s.io/v1alpha2",
        }
    }

    /// The resource, for requests.
    pub fn resource(self) -> ApiResource {
        let (group, version) = match self {
            Self::V1 => ("inference.networking.k8s.io", "v1"),
            Self::V1Alpha2 => ("inference.networking.x-k8s.io", "v1alpha2"),
        };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.as_str().to_owned(),
            kind: "InferencePool".to_owned(),
            plural: "inferencepools".to_owned(),
        }
    }
}

// === impl PoolSpec ===

impl PoolSpec {
    /// Reads a `v1` object.
    pub fn v1(object: &DynamicObject) -> Result<Self, InvalidPool> {
        let spec: SpecV1 = spec(object)?;
        Self::new(
            spec.selector.match_labels,
            spec.target_ports.iter().map(|port| port.number).collect(),
        )
    }

    /// Reads a `v1alpha2` object.
    pub fn v1alpha2(object: &DynamicObject) -> Result<Self, InvalidPool> {
        let spec: SpecV1Alpha2 = spec(object)?;
        Self::new(spec.selector, vec![spec.target_port_number])
    }

    /// The selector, for requests.
    pub fn labels(&self) -> Selector {
        self.selector.clone().into_iter().collect()
    }

    fn new(selector: BTreeMap<String, String>, ports: Vec<NonZeroU16>) -> Result<Self, InvalidPool> {
        if selector.is_empty() {
            return Err(InvalidPool::EmptySelector);
        }
        if ports.is_empty() || ports.len() > MAX_PORTS {
            return Err(InvalidPool::Ports(ports.len()));
        }
        Ok(Self { selector, ports })
    }
}

fn spec<'a, T: Deserialize<'a>>(object: &'a DynamicObject) -> Result<T, InvalidPool> {
    T::deserialize(object.data.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| InvalidPool::Spec(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(version: Version, spec: Value) -> DynamicObject {
        DynamicObject::new("chat", &version.resource()).data(json!({ "spec": spec }))
    }

    fn v1(spec: Value) -> Result<PoolSpec, InvalidPool> {
        PoolSpec::v1(&object(Version::V1, spec))
    }

    #[test]
    fn v1_has_match_labels_and_a_list_of_ports() {
        let pool = v1(json!({
            "selector": {"matchLabels": {"app": "vllm", "tier": "gpu"}},
            "targetPorts": [{"number": 8000}, {"number": 8001}],
            "endpointPickerRef": {"name": "picker", "port": {"number": 9002}},
        }))
        .unwrap();
        assert_eq!(pool.labels().to_string(), "app=vllm,tier=gpu");
        assert_eq!(
            pool.ports.iter().map(|port| port.get()).collect::<Vec<_>>(),
            [8000, 8001]
        );
    }

    #[test]
    fn v1alpha2_has_a_plain_map_and_one_port() {
        let spec = json!({"selector": {"app": "vllm"}, "targetPortNumber": 8000, "extensionRef": {"name": "picker"}});
        let pool = PoolSpec::v1alpha2(&object(Version::V1Alpha2, spec)).unwrap();
        assert_eq!(pool.labels().to_string(), "app=vllm");
        assert_eq!(pool.ports.iter().map(|port| port.get()).collect::<Vec<_>>(), [8000]);
    }

    #[test]
    fn an_empty_selector_is_rejected() {
        let spec = json!({"selector": {"matchLabels": {}}, "targetPorts": [{"number": 8000}]});
        assert_eq!(v1(spec), Err(InvalidPool::EmptySelector));
    }

    #[test]
    fn an_invalid_spec_is_reported_with_its_cause() {
        let labels = json!({"matchLabels": {"app": "vllm"}});
        for (spec, why) in [
            (Value::Null, "null"),
            (json!({"targetPorts": [{"number": 1}]}), "selector"),
            (json!({"selector": labels, "targetPorts": [{"number": 0}]}), "0"),
            (json!({"selector": labels, "targetPorts": [{"number": 65536}]}), "65536"),
            (
                json!({"selector": {"matchLabels": {"app": 1}}, "targetPorts": [{"number": 1}]}),
                "1",
            ),
        ] {
            let error = v1(spec.clone()).unwrap_err().to_string();
            assert!(error.contains(why), "{spec}: {error}");
        }
        let none = v1(json!({"selector": labels, "targetPorts": []}));
        assert_eq!(none, Err(InvalidPool::Ports(0)));
        let many: Vec<_> = (1..=65).map(|number| json!({ "number": number })).collect();
        assert_eq!(
            v1(json!({"selector": labels, "targetPorts": many})),
            Err(InvalidPool::Ports(65))
        );
    }
}
