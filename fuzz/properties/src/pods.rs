//! [`pod_targets`], the targets of a pool's pods, from what a user can write into a pod. Input: the pool's ports, the flags,
//! and fields of pods: a byte that chooses the field, a length, and the value.

use std::num::NonZeroU16;

use infertally_syncer::discovery::kubernetes::{MetricsEndpoint, RoleLabels, pod_targets};
use infertally_syncer::engine::ServerLoad;
use infertally_syncer::target::Target;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::choices::Choices;
use crate::families;

/// A field of a pod.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// The name, which begins the next pod.
    Name,
    Annotation(&'static str),
    Label(&'static str),
    Address,
    Phase,
    Ready,
    Deleted,
}

const FIELDS: [Field; 18] = [
    Field::Name,
    Field::Address,
    Field::Ready,
    Field::Phase,
    Field::Deleted,
    Field::Annotation("prometheus.io/port"),
    Field::Annotation("prometheus.io/scheme"),
    Field::Annotation("prometheus.io/path"),
    Field::Annotation("sidecar.istio.io/status"),
    Field::Annotation("inference.networking.k8s.io/active-ports"),
    Field::Label("prometheus.io/port"),
    Field::Label("prometheus.io/scheme"),
    Field::Label("prometheus.io/path"),
    Field::Label("infertally.io/engine"),
    Field::Label("llm-d.ai/engine-type"),
    Field::Label("inference.networking.k8s.io/engine-type"),
    Field::Label("inference.networking.k8s.io/role"),
    Field::Label("llm-d.ai/role"),
];
/// Limits of a pool, for speed; the CRD has 8 ports.
const MAX_PORTS: u8 = 8;
const MAX_PODS: usize = 32;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let ports: Vec<_> = (0..=choices.byte() % MAX_PORTS).map(|_| port(&mut choices)).collect();
    let endpoint = endpoint(&mut choices);
    let Ok(pods) = serde_json::from_value::<Vec<Pod>>(pods(choices)) else {
        return;
    };
    let targets = pod_targets(&pods, ports.clone(), &endpoint, &RoleLabels::default());
    assert!(targets.len() <= pods.len() * ports.len(), "{targets:?}");
    for target in &targets {
        check_target(target, &pods, &endpoint);
    }
    // The order of the API server's list does not matter, unless two pods have one name.
    if names(&pods).is_sorted_by(|a, b| a < b) {
        let reversed: Vec<_> = pods.iter().rev().cloned().collect();
        assert_eq!(
            pod_targets(&reversed, ports, &endpoint, &RoleLabels::default()),
            targets
        );
    }
    families::check_pool(targets, &ServerLoad::default());
}

/// A seed: a pool with one port, and pods with these fields by their index in the list.
pub(crate) fn input(fields: &[(u8, &str)]) -> Vec<u8> {
    let mut input = vec![0, 64, 31, 0, 0, 0];
    for (field, value) in fields {
        input.extend([*field, value.len().min(255) as u8]);
        input.extend(value.bytes().take(255));
    }
    input
}

fn port(choices: &mut Choices<'_>) -> NonZeroU16 {
    NonZeroU16::new(choices.word()).unwrap_or(NonZeroU16::MIN)
}

fn endpoint(choices: &mut Choices<'_>) -> MetricsEndpoint {
    let port = NonZeroU16::new(choices.word());
    let flags = choices.byte();
    let defaults = MetricsEndpoint::default();
    MetricsEndpoint {
        port,
        scheme: match flags & 1 {
            0 => defaults.scheme,
            _ => "https".parse().unwrap_or(defaults.scheme),
        },
        use_annotations: flags & 2 == 0,
    }
}

/// The pods as the API server sends them.
fn pods(mut choices: Choices<'_>) -> Value {
    let mut pods: Vec<Value> = Vec::new();
    while !choices.is_empty() && pods.len() < MAX_PODS {
        let field = choices.pick(&FIELDS).unwrap_or(Field::Name);
        let size = usize::from(choices.byte());
        let value = String::from_utf8_lossy(choices.take(size));
        if pods.is_empty() || matches!(field, Field::Name) {
            pods.push(json!({"metadata": {"name": value}, "status": {"podIP": "10.0.0.1", "phase": "Running"}}));
        }
        let Some(pod) = pods.last_mut() else { break };
        let path = match field {
            Field::Name => continue,
            Field::Annotation(name) => ["metadata", "annotations", name],
            Field::Label(name) => ["metadata", "labels", name],
            Field::Address => ["status", "podIP", ""],
            Field::Phase => ["status", "phase", ""],
            Field::Deleted => {
                set(
                    pod,
                    ["metadata", "deletionTimestamp", ""],
                    json!("2025-01-01T00:00:00Z"),
                );
                continue;
            }
            Field::Ready => {
                let conditions = json!([{"type": "Ready", "status": value}]);
                set(pod, ["status", "conditions", ""], conditions);
                continue;
            }
        };
        set(pod, path, json!(value));
    }
    Value::Array(pods)
}

/// Sets a member of a member of an object; of the object itself if the last name is empty.
fn set(pod: &mut Value, [first, second, third]: [&str; 3], value: Value) {
    let Some(object) = pod.get_mut(first).and_then(Value::as_object_mut) else {
        return;
    };
    if third.is_empty() {
        object.insert(second.to_owned(), value);
        return;
    }
    let members = object.entry(second).or_insert_with(|| json!({}));
    if let Some(members) = members.as_object_mut() {
        members.insert(third.to_owned(), value);
    }
}

fn names(pods: &[Pod]) -> Vec<&str> {
    pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect()
}

/// A pod cannot send the syncer, and its token, to another address than its own.
fn check_target(target: &Target, pods: &[Pod], endpoint: &MetricsEndpoint) {
    let Target {
        name,
        url,
        ready,
        engine: _,
        role: _,
    } = target;
    let of = pods.iter().filter(|pod| {
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        let rest = name.strip_prefix(pod);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-rank-"))
    });
    let addresses: Vec<std::net::IpAddr> = of
        .filter_map(|pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok())
        .collect();
    assert!(ready.is_some(), "{target:?}");
    let Some(url) = url else { return };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    assert!(
        host.parse().is_ok_and(|host| addresses.contains(&host)),
        "{url} {addresses:?}"
    );
    assert!(
        matches!(url.scheme_str(), Some("http" | "https")) && url.port_u16() > Some(0),
        "{url}"
    );
    if !endpoint.use_annotations {
        assert_eq!((url.scheme(), url.path()), (Some(&endpoint.scheme), "/"), "{url}");
    }
    // What a request is sent for is what the URL says.
    assert_eq!(url.to_string().parse().ok().as_ref(), Some(url), "{url}");
}
