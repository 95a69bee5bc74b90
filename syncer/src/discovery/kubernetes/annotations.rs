//! Where a pod's metrics are, by its `prometheus.io/port`, `scheme` and `path`: Prometheus' convention. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use http::uri::{PathAndQuery, Scheme};
use k8s_openapi::api::core::v1::Pod;

const PORT: &str = "prometheus.io/port";
const SCHEME: &str = "prometheus.io/scheme";
const PATH: &str = "prometheus.io/path";
/// Set by Istio's injection, which overwrites `prometheus.io/port` and `path` of every pod with those of its agent's page.
/// That page has the model server's metrics only if the pod had the annotations before.
const ISTIO_STATUS: &str = "sidecar.istio.io/status";
/// The path of the agent's page.
const ISTIO_PATH: &str = "/stats/prometheus";
/// A longer value is cut off in the log.
const MAX_LOGGED_CHARS: usize = 100;

/// Where the metrics of a pool's pods are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsEndpoint {
    /// `None`: the pool's target ports.
    pub port: Option<NonZeroU16>,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Whether a pod's annotations override this.
    pub use_annotations: bool,
}

/// What a pod says of its metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodEndpoint {
    pub port: Option<NonZeroU16>,
    pub scheme: Option<Scheme>,
    pub path: Option<PathAndQuery>,
    /// The annotations and labels that are ignored because their values are invalid, for the log.
    pub invalid: Vec<String>,
}

/// The invalid annotations of each pod that have been logged.
#[derive(Debug, Default)]
pub(super) struct InvalidAnnotations(BTreeMap<String, Vec<String>>);

// === impl MetricsEndpoint ===

impl Default for MetricsEndpoint {
    fn default() -> Self {
        Self {
            port: None,
            scheme: Scheme::HTTP,
            use_annotations: true,
        }
    }
}

// === impl PodEndpoint ===

impl PodEndpoint {
    /// An annotation takes precedence over a label. An empty value is absent, as for Prometheus.
    pub fn new(pod: &Pod) -> Self {
        let (annotations, labels) = (&pod.metadata.annotations, &pod.metadata.labels);
        let in_map = |map: &Option<BTreeMap<String, String>>, name| Some(map.as_ref()?.get(name)?.trim().to_owned());
        let value = |name| {
            let value = in_map(annotations, name).or_else(|| in_map(labels, name));
            value.filter(|value| !value.is_empty())
        };
        if in_map(annotations, ISTIO_STATUS).is_some() && value(PATH).as_deref() == Some(ISTIO_PATH) {
            return Self::default();
        }
        let mut invalid = Vec::new();
        Self {
            port: valid(PORT, value(PORT), |port| port.parse().ok(), &mut invalid),
            scheme: valid(SCHEME, value(SCHEME), scheme, &mut invalid),
            path: valid(PATH, value(PATH), path, &mut invalid),
            invalid,
        }
    }
}

fn valid<T>(
    name: &str,
    value: Option<String>,
    parse: impl FnOnce(&str) -> Option<T>,
    invalid: &mut Vec<String>,
) -> Option<T> {
    let value = value?;
    let parsed = parse(&value);
    if parsed.is_none() {
        let value: String = value.chars().take(MAX_LOGGED_CHARS).collect();
        invalid.push(format!("{name}: {value:?}"));
    }
    parsed
}

fn scheme(text: &str) -> Option<Scheme> {
    match text {
        "http" => Some(Scheme::HTTP),
        "https" => Some(Scheme::HTTPS),
        _ => None,
    }
}

/// Prometheus accepts a path without its slash.
fn path(text: &str) -> Option<PathAndQuery> {
    let slash = if text.starts_with('/') { "" } else { "/" };
    format!("{slash}{text}").parse().ok()
}

// === impl InvalidAnnotations ===

impl InvalidAnnotations {
    /// Logs what is invalid and was not so before, of all pods.
    pub fn log<'a>(&mut self, pods: impl Iterator<Item = (&'a String, &'a PodEndpoint)>) {
        for (pod, invalid) in self.changes(pods) {
            tracing::warn!(%pod, %invalid, "ignoring invalid annotations of the pod, the flags apply");
        }
    }

    fn changes<'a>(&mut self, pods: impl Iterator<Item = (&'a String, &'a PodEndpoint)>) -> Vec<(String, String)> {
        let current: BTreeMap<_, _> = pods
            .filter(|(_, endpoint)| !endpoint.invalid.is_empty())
            .map(|(pod, endpoint)| (pod.clone(), endpoint.invalid.clone()))
            .collect();
        let previous = std::mem::replace(&mut self.0, current);
        let is_new = |(pod, invalid): &(&String, &Vec<String>)| previous.get(*pod) != Some(*invalid);
        let new = self.0.iter().filter(is_new);
        new.map(|(pod, invalid)| (pod.clone(), invalid.join(", "))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn endpoint(annotations: Value, labels: Value) -> PodEndpoint {
        let metadata = json!({"annotations": annotations, "labels": labels});
        PodEndpoint::new(&serde_json::from_value(json!({ "metadata": metadata })).unwrap())
    }

    fn annotated(annotations: Value) -> PodEndpoint {
        endpoint(annotations, json!({}))
    }

    fn of(port: Option<u16>, scheme: Option<&str>, path: Option<&str>) -> PodEndpoint {
        PodEndpoint {
            port: port.map(|port| port.try_into().unwrap()),
            scheme: scheme.map(|scheme| scheme.parse().unwrap()),
            path: path.map(|path| path.parse().unwrap()),
            invalid: Vec::new(),
        }
    }

    #[test]
    fn annotations_take_precedence_over_labels_and_empty_values_are_absent() {
        let all = json!({"prometheus.io/port": "8002", "prometheus.io/scheme": "https", "prometheus.io/path": "/m"});
        let expected = of(Some(8002), Some("https"), Some("/m"));
        assert_eq!(annotated(all), expected);
        let labels = json!({"prometheus.io/port": "1", "prometheus.io/scheme": "https"});
        assert_eq!(
            endpoint(json!({"prometheus.io/port": " 8002 "}), labels),
            of(Some(8002), Some("https"), None)
        );
        assert_eq!(
            annotated(json!({"prometheus.io/path": "metrics"})),
            of(None, None, Some("/metrics"))
        );
        assert_eq!(
            annotated(json!({"prometheus.io/port": "", "prometheus.io/scrape": "false"})),
            of(None, None, None)
        );
    }

    #[test]
    fn the_annotations_of_istios_injection_are_ignored() {
        let mut annotations = json!({
            "sidecar.istio.io/status": "{}",
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "15020",
            "prometheus.io/path": "/stats/prometheus",
        });
        assert_eq!(annotated(annotations.clone()), of(None, None, None));
        annotations["prometheus.io/path"] = "/metrics".into();
        assert_eq!(annotated(annotations), of(Some(15020), None, Some("/metrics")));
    }

    #[test]
    fn an_invalid_value_is_ignored_and_reported_once_per_change() {
        let pods = |port: &str| {
            let long = "/ ".repeat(1000);
            let pod = annotated(json!({
                "prometheus.io/port": port, "prometheus.io/scheme": "HTTPS", "prometheus.io/path": long,
            }));
            assert_eq!((pod.port, &pod.scheme, &pod.path), (None, &None, &None), "{port}");
            [("a".to_owned(), pod), ("b".to_owned(), of(Some(1), None, None))]
        };
        let mut reported = InvalidAnnotations::default();
        let mut changes = |pods: &[(String, PodEndpoint)]| reported.changes(pods.iter().map(|(pod, of)| (pod, of)));
        for port in ["0", "65536", "-1", "http", "8000/tcp"] {
            let changed = changes(&pods(port));
            let [(pod, text)] = changed.as_slice() else {
                panic!("{changed:?}")
            };
            assert_eq!(pod, "a");
            let start =
                format!("prometheus.io/port: \"{port}\", prometheus.io/scheme: \"HTTPS\", prometheus.io/path: ");
            assert!(text.starts_with(&start) && text.len() < 300, "{text}");
            assert!(changes(&pods(port)).is_empty());
        }
        // A pod that is gone and comes back is reported again.
        assert!(changes(&[]).is_empty());
        assert_eq!(changes(&pods("http")).len(), 1);
    }
}
