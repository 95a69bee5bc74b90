//! [`Member`], what matters of a pod, and the targets that a pool's members are. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use k8s_openapi::api::core::v1::Pod;

use super::pool_spec::{MAX_PORTS, PoolSpec};
use crate::target::Target;

/// Labels that name a pod's engine, by precedence: ours, llm-d's, the Gateway API Inference Extension's.
const ENGINE_LABELS: [&str; 3] = [
    "infertally.io/engine",
    "llm-d.ai/engine-type",
    "inference.networking.k8s.io/engine-type",
];
/// The annotation that lists which of the pool's ports a pod serves, separated by commas; all without it. Endpoint pickers
/// since the Gateway API Inference Extension v1.5 read it.
const ACTIVE_PORTS: &str = "inference.networking.k8s.io/active-ports";

/// A pod that the pool's selector matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// `None` before one is assigned, and after the pod has terminated: Kubernetes may assign it to another pod.
    address: Option<IpAddr>,
    /// Condition Ready is True, and the pod is not terminating.
    ready: bool,
    engine: Option<String>,
    active_ports: Option<BTreeSet<u16>>,
}

// === impl Member ===

impl From<&Pod> for Member {
    fn from(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let terminated = status.is_some_and(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")));
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
        let labels = pod.metadata.labels.as_ref();
        let annotations = pod.metadata.annotations.as_ref();
        Self {
            address: status
                .and_then(|status| status.pod_ip.as_deref())
                .filter(|_| !terminated)
                .and_then(|address| address.parse().ok()),
            ready: ready && !terminated && pod.metadata.deletion_timestamp.is_none(),
            engine: ENGINE_LABELS.iter().find_map(|name| labels?.get(*name)).cloned(),
            active_ports: annotations.and_then(|all| all.get(ACTIVE_PORTS)).map(|ports| {
                ports
                    .split(',')
                    .filter_map(|port| port.trim().parse().ok())
                    .take(MAX_PORTS)
                    .collect()
            }),
        }
    }
}

impl Member {
    fn serves(&self, port: u16) -> bool {
        self.active_ports.as_ref().is_none_or(|active| active.contains(&port))
    }

    fn url(&self, port: u16) -> Option<Uri> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        // `SocketAddr` puts an IPv6 address in brackets.
        parts.authority = SocketAddr::new(self.address?, port).to_string().parse().ok();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).ok()
    }
}

/// The pool's targets, in the order of the pods' names. With one port a pod is one target of its own name; with several,
/// each port is one, named `POD-rank-N` as endpoint pickers do.
pub(super) fn targets(pool: &PoolSpec, pods: &BTreeMap<String, Member>) -> Vec<Target> {
    let ranked = pool.ports.len() > 1;
    let of_pod = |(pod, member): (&String, &Member)| {
        let target = |(rank, port): (usize, u16)| Target {
            name: if ranked {
                format!("{pod}-rank-{rank}").into()
            } else {
                Arc::from(pod.as_str())
            },
            url: member.url(port),
            ready: Some(member.ready),
            engine: member.engine.clone(),
        };
        let ports = pool.ports.iter().map(|port| port.get()).enumerate();
        ports
            .filter(|(_, port)| member.serves(*port))
            .map(target)
            .collect::<Vec<_>>()
    };
    pods.iter().flat_map(of_pod).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: Value, status: Value) -> Member {
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap();
        Member::from(&pod)
    }

    fn running(address: &str, ready: &str) -> Value {
        json!({"phase": "Running", "podIP": address, "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": ready},
        ]})
    }

    fn pool(ports: &[u16]) -> PoolSpec {
        PoolSpec {
            selector: [("app".to_owned(), "vllm".to_owned())].into(),
            ports: ports.iter().map(|port| (*port).try_into().unwrap()).collect(),
        }
    }

    fn url(member: &Member) -> Option<String> {
        member.url(8000).map(|url| url.to_string())
    }

    #[test]
    fn a_ready_pod_is_a_ready_target() {
        let pods = [("a".to_owned(), pod(json!({}), running("10.0.0.1", "True")))].into();
        let expected = Target {
            name: "a".into(),
            url: Some(Uri::from_static("http://10.0.0.1:8000/")),
            ready: Some(true),
            engine: None,
        };
        assert_eq!(targets(&pool(&[8000]), &pods), [expected]);
    }

    #[test]
    fn an_ipv6_address_is_put_in_brackets() {
        let member = pod(json!({}), running("fd00::1", "True"));
        assert_eq!(url(&member).as_deref(), Some("http://[fd00::1]:8000/"));
    }

    #[test]
    fn a_pod_without_an_address_has_no_url() {
        for status in [
            Value::Null,
            json!({"phase": "Pending"}),
            running("", "True"),
            running("invalid", "True"),
        ] {
            assert_eq!(url(&pod(json!({}), status)), None);
        }
        assert!(!pod(json!({}), json!({"phase": "Pending"})).ready);
    }

    #[test]
    fn only_condition_ready_true_is_ready() {
        for ready in ["False", "Unknown", "true"] {
            assert!(!pod(json!({}), running("10.0.0.1", ready)).ready, "{ready}");
        }
        assert!(!pod(json!({}), json!({"phase": "Running", "podIP": "10.0.0.1"})).ready);
    }

    #[test]
    fn a_terminating_pod_is_not_ready_and_keeps_its_url() {
        let member = pod(
            json!({"deletionTimestamp": "2025-01-01T00:00:00Z"}),
            running("10.0.0.1", "True"),
        );
        assert!(!member.ready);
        assert!(url(&member).is_some());
    }

    #[test]
    fn a_terminated_pod_is_not_ready_and_has_no_url() {
        for phase in ["Succeeded", "Failed"] {
            let mut status = running("10.0.0.1", "True");
            status["phase"] = phase.into();
            let member = pod(json!({}), status);
            assert!(!member.ready, "{phase}");
            assert_eq!(url(&member), None, "{phase}");
        }
    }

    #[test]
    fn each_of_several_ports_is_a_target_and_a_single_port_is_the_pod() {
        let pods = [("a".to_owned(), pod(json!({}), running("10.0.0.1", "True")))].into();
        let named = |ports: &[u16]| {
            let targets = targets(&pool(ports), &pods);
            let text = |target: &Target| format!("{} {}", target.name, target.url.as_ref().unwrap());
            targets.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(named(&[9]), ["a http://10.0.0.1:9/"]);
        assert_eq!(
            named(&[8000, 8001]),
            ["a-rank-0 http://10.0.0.1:8000/", "a-rank-1 http://10.0.0.1:8001/"]
        );
    }

    #[test]
    fn inactive_ports_are_no_targets_and_the_others_keep_their_rank() {
        let names = |active: &str| {
            let metadata = json!({"annotations": {ACTIVE_PORTS: active}});
            let pods = [("a".to_owned(), pod(metadata, running("10.0.0.1", "True")))].into();
            let targets = targets(&pool(&[8000, 8001, 8002]), &pods);
            targets.iter().map(|target| target.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("8000, 8002"), ["a-rank-0", "a-rank-2"]);
        assert_eq!(names("8001,junk,-1,70000"), ["a-rank-1"]);
        assert!(names("").is_empty());
    }

    #[test]
    fn our_engine_label_takes_precedence() {
        let engine = |labels: Value| pod(json!({ "labels": labels }), Value::Null).engine;
        assert_eq!(engine(json!({"app": "x"})), None);
        let theirs = json!({"inference.networking.k8s.io/engine-type": "sglang"});
        assert_eq!(engine(theirs).as_deref(), Some("sglang"));
        let both = json!({"inference.networking.k8s.io/engine-type": "sglang", "infertally.io/engine": "vllm"});
        assert_eq!(engine(both).as_deref(), Some("vllm"));
    }
}
