//! [`Member`], what matters of a pod, and the targets that a pool's members are. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use k8s_openapi::api::core::v1::Pod;

use super::annotations::{MetricsEndpoint, PodEndpoint};
use super::pool_spec::{MAX_PORTS, PoolSpec};
use super::role_labels::RoleLabels;
use crate::target::{Role, Target};

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
    role: Option<Role>,
    active_ports: Option<BTreeSet<u16>>,
    /// What its annotations say of its metrics.
    pub endpoint: PodEndpoint,
}

// === impl Member ===

impl Member {
    pub(super) fn new(pod: &Pod, roles: &RoleLabels) -> Self {
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
            role: roles.role(pod),
            active_ports: annotations.and_then(|all| all.get(ACTIVE_PORTS)).map(|ports| {
                ports
                    .split(',')
                    .filter_map(|port| port.trim().parse().ok())
                    .take(MAX_PORTS)
                    .collect()
            }),
            endpoint: PodEndpoint::new(pod),
        }
    }

    fn serves(&self, port: u16) -> bool {
        self.active_ports.as_ref().is_none_or(|active| active.contains(&port))
    }

    /// The pod's own endpoint where it has one, else that of the flags.
    fn endpoint(&self, defaults: &MetricsEndpoint) -> PodEndpoint {
        let own = match defaults.use_annotations {
            true => self.endpoint.clone(),
            false => PodEndpoint::default(),
        };
        PodEndpoint {
            port: own.port.or(defaults.port),
            scheme: own.scheme.or_else(|| Some(defaults.scheme.clone())),
            ..own
        }
    }

    fn url(&self, port: u16, endpoint: &PodEndpoint) -> Option<Uri> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = endpoint.scheme.clone();
        // `SocketAddr` puts an IPv6 address in brackets.
        parts.authority = SocketAddr::new(self.address?, port).to_string().parse().ok();
        let path = endpoint.path.clone();
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Uri::from_parts(parts).ok()
    }
}

/// The pool's targets, in the order of the pods' names. With one port a pod is one target of its own name; with several,
/// each port is one, named `POD-rank-N` as endpoint pickers do.
///
/// A metrics port that is none of several target ports has the metrics of all ranks, so the pod is one target again. One that
/// is among them changes nothing: each rank has metrics, and an annotation can name only one port.
pub(super) fn targets(pool: &PoolSpec, pods: &BTreeMap<String, Member>, defaults: &MetricsEndpoint) -> Vec<Target> {
    let of_pod = |(pod, member): (&String, &Member)| {
        let endpoint = member.endpoint(defaults);
        let target = |name: Arc<str>, port: u16| Target {
            name,
            url: member.url(port, &endpoint),
            ready: Some(member.ready),
            engine: member.engine.clone(),
            role: member.role.clone(),
        };
        let active = pool.ports.iter().map(|port| port.get()).enumerate();
        let mut active = active.filter(|(_, port)| member.serves(*port));
        let ranks = pool.ports.len() > 1 && endpoint.port.is_none_or(|port| pool.ports.contains(&port));
        if ranks {
            let ranks = active.map(|(rank, port)| target(format!("{pod}-rank-{rank}").into(), port));
            return ranks.collect::<Vec<_>>();
        }
        let port = active
            .next()
            .map(|(_, port)| endpoint.port.map_or(port, NonZeroU16::get));
        port.map(|port| target(Arc::from(pod.as_str()), port))
            .into_iter()
            .collect()
    };
    pods.iter().flat_map(of_pod).collect()
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: Value, status: Value) -> Member {
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap();
        Member::new(&pod, &RoleLabels::default())
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
        let url = member.url(8000, &member.endpoint(&MetricsEndpoint::default()));
        url.map(|url| url.to_string())
    }

    #[test]
    fn a_ready_pod_is_a_ready_target() {
        let pods = [("a".to_owned(), pod(json!({}), running("10.0.0.1", "True")))].into();
        let expected = Target {
            name: "a".into(),
            url: Some(Uri::from_static("http://10.0.0.1:8000/")),
            ready: Some(true),
            engine: None,
            role: None,
        };
        assert_eq!(targets(&pool(&[8000]), &pods, &MetricsEndpoint::default()), [expected]);
    }

    #[test]
    fn a_role_label_is_the_role_of_each_of_the_pods_targets() {
        let metadata = json!({"labels": {"llm-d.ai/role": "decode"}});
        let pods = [("a".to_owned(), pod(metadata, running("10.0.0.1", "True")))].into();
        for ports in [&[8000][..], &[8000, 8001]] {
            let targets = targets(&pool(ports), &pods, &MetricsEndpoint::default());
            assert_eq!(targets.len(), ports.len());
            for target in targets {
                assert_eq!(target.role, Some("decode".parse().unwrap()));
            }
        }
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

    /// The pods of the table that the averages are tested with.
    #[test]
    fn the_ready_pods_of_every_step_of_a_rollout_are_ready() {
        let table = include_str!("../../../../tests/fixtures/pool/rollouts.json");
        let table: Value = serde_json::from_str(table).unwrap();
        for rollout in table.as_array().unwrap() {
            for step in rollout["steps"].as_array().unwrap() {
                let pods = step["pods"].as_object().unwrap().iter().map(|(name, of_step)| {
                    let mut metadata =
                        json!({"labels": {"llm-d.ai/role": of_step["role"].as_str().unwrap_or_default()}});
                    if of_step["terminating"] == true {
                        metadata["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
                    }
                    let status = running("10.0.0.1", of_step["condition"].as_str().unwrap());
                    (name.clone(), pod(metadata, status))
                });
                let targets = targets(&pool(&[8000]), &pods.collect(), &MetricsEndpoint::default());
                let ready = |role: Option<&str>| {
                    let in_role =
                        |target: &&Target| role.is_none() || target.role.as_ref().map(|role| &**role.label()) == role;
                    let ready = targets
                        .iter()
                        .filter(in_role)
                        .filter(|target| target.ready == Some(true));
                    Some(ready.count() as u64)
                };
                assert_eq!(ready(None), step["expected"]["ready_pods"].as_u64(), "{}", step["step"]);
                for (role, expected) in step["roles"].as_object().unwrap() {
                    assert_eq!(
                        ready(Some(role)),
                        expected["ready_pods"].as_u64(),
                        "{} {role}",
                        step["step"]
                    );
                }
            }
        }
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
            let targets = targets(&pool(ports), &pods, &MetricsEndpoint::default());
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
            let targets = targets(&pool(&[8000, 8001, 8002]), &pods, &MetricsEndpoint::default());
            targets.iter().map(|target| target.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("8000, 8002"), ["a-rank-0", "a-rank-2"]);
        assert_eq!(names("8001,junk,-1,70000"), ["a-rank-1"]);
        assert!(names("").is_empty());
    }

    #[test]
    fn a_metrics_port_of_its_own_makes_one_target_of_a_pod_and_one_of_the_target_ports_changes_nothing() {
        let https = |port: Option<u16>| MetricsEndpoint {
            port: port.map(|port| port.try_into().unwrap()),
            scheme: Scheme::HTTPS,
            use_annotations: true,
        };
        let text = |ports: &[u16], annotations: Value, defaults: &MetricsEndpoint| {
            let metadata = json!({ "annotations": annotations });
            let pods = [("a".to_owned(), pod(metadata, running("10.0.0.1", "True")))].into();
            let targets = targets(&pool(ports), &pods, defaults);
            let text = |target: &Target| format!("{} {}", target.name, target.url.as_ref().unwrap());
            targets.iter().map(text).collect::<Vec<_>>().join(", ")
        };
        let none = json!({});
        assert_eq!(
            text(&[8000], none.clone(), &https(Some(8002))),
            "a https://10.0.0.1:8002/"
        );
        assert_eq!(text(&[8000], none.clone(), &https(None)), "a https://10.0.0.1:8000/");
        assert_eq!(
            text(&[8000, 8001], none.clone(), &https(Some(8002))),
            "a https://10.0.0.1:8002/"
        );
        let ranks = "a-rank-0 https://10.0.0.1:8000/, a-rank-1 https://10.0.0.1:8001/";
        assert_eq!(text(&[8000, 8001], none, &https(Some(8001))), ranks);

        let own = json!({"prometheus.io/port": "9", "prometheus.io/scheme": "http", "prometheus.io/path": "/m?x=y"});
        assert_eq!(
            text(&[8000, 8001], own.clone(), &https(Some(8001))),
            "a http://10.0.0.1:9/m?x=y"
        );
        let flags_only = MetricsEndpoint {
            use_annotations: false,
            ..https(Some(8002))
        };
        assert_eq!(text(&[8000], own, &flags_only), "a https://10.0.0.1:8002/");
        let among = json!({"prometheus.io/port": "8000", "prometheus.io/path": "/m"});
        let ranks = "a-rank-0 https://10.0.0.1:8000/m, a-rank-1 https://10.0.0.1:8001/m";
        assert_eq!(text(&[8000, 8001], among, &https(None)), ranks);

        // Without an active port the pod serves nothing.
        assert_eq!(text(&[8000, 8001], json!({ ACTIVE_PORTS: "" }), &https(Some(8002))), "");
        assert_eq!(
            text(&[8000, 8001], json!({ ACTIVE_PORTS: "8001" }), &https(Some(8002))),
            "a https://10.0.0.1:8002/"
        );
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
