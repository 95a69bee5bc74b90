//! The overlays of the documents: a second syncer beside the first or in another namespace, and monitors apart from what they
//! select.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeSet;

use infertally_harness::repository;
use infertally_manifests::yaml::text;
use infertally_manifests::{kustomize, overlays, pods};
use serde_json::Value;

const ACCOUNT: &str = "/metadata/annotations/kubernetes.io~1service-account.name";

/// The overlay for a second syncer in this namespace.
fn second_syncer(namespace: &str) -> Vec<Value> {
    let block = overlays::with("nameSuffix: -other").unwrap();
    let kustomization = block
        .text
        .replace("namespace: inference", &format!("namespace: {namespace}"));
    let more = "- ../k8s/base\n- ../k8s/monitoring/operator/syncer";
    overlays::build(&kustomization.replace("- ../k8s/base", more)).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

/// Whether every label of the selector is among the labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    assert!(!selector.is_empty());
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// The syncers' selectors: of Services, Deployments and NetworkPolicies.
fn selectors(objects: &[Value]) -> Vec<&Value> {
    let services = of_kind(objects, "Service")
        .into_iter()
        .map(|object| &object["spec"]["selector"]);
    let deployments = of_kind(objects, "Deployment")
        .into_iter()
        .map(|object| &object["spec"]["selector"]["matchLabels"]);
    let policies = of_kind(objects, "NetworkPolicy")
        .into_iter()
        .map(|object| &object["spec"]["podSelector"]["matchLabels"]);
    services.chain(deployments).chain(policies).collect()
}

fn pod_labels(objects: &[Value]) -> &Value {
    &objects.iter().find_map(pods::template).unwrap()["metadata"]["labels"]
}

/// Every reference between the objects, with the namespace that it concerns.
fn assert_references_resolve(objects: &[Value]) {
    let names = |kind: &str| -> BTreeSet<(&str, &str)> {
        let objects = of_kind(objects, kind).into_iter();
        objects
            .map(|object| (text(object, "/metadata/namespace"), text(object, "/metadata/name")))
            .collect()
    };
    let (accounts, secrets) = (names("ServiceAccount"), names("Secret"));
    for object in of_kind(objects, "Secret") {
        let account = (text(object, "/metadata/namespace"), text(object, ACCOUNT));
        assert!(accounts.contains(&account), "{object}");
    }
    let bindings = objects
        .iter()
        .filter(|object| text(object, "/kind").ends_with("RoleBinding"));
    for subject in bindings.flat_map(|binding| binding["subjects"].as_array().unwrap()) {
        let account = (text(subject, "/namespace"), text(subject, "/name"));
        assert!(accounts.contains(&account), "{subject}");
    }
    let monitors = objects.iter().filter(|object| object["kind"] == "ServiceMonitor");
    for monitor in monitors {
        let secret = text(monitor, "/spec/endpoints/0/authorization/credentials/name");
        let secret = (text(monitor, "/metadata/namespace"), secret);
        assert!(secrets.contains(&secret), "{monitor}");
    }
}

#[test]
fn a_second_syncer_shares_no_object_and_no_pod_with_the_first() {
    let first = kustomize::build(&repository("k8s/base")).unwrap();
    for namespace in ["default", "inference"] {
        let second = second_syncer(namespace);
        let names = |objects: &[Value]| -> BTreeSet<[String; 3]> {
            let fields = ["/kind", "/metadata/namespace", "/metadata/name"];
            let name = |object: &Value| {
                let mut name = fields.map(|field| text(object, field).to_owned());
                // The guide's binding has a namespace, which means nothing.
                if name[0].starts_with("Cluster") {
                    name[1].clear();
                }
                name
            };
            objects.iter().map(name).collect()
        };
        let shared: Vec<_> = names(&first).intersection(&names(&second)).cloned().collect();
        assert!(shared.is_empty(), "{namespace}: {shared:?}");
        for (objects, own, other) in [(&first, &first, &second), (&second, &second, &first)] {
            for selector in selectors(objects) {
                assert!(selects(selector, pod_labels(own)), "{namespace}: {selector}");
                assert!(!selects(selector, pod_labels(other)), "{namespace}: {selector}");
            }
        }
        assert_references_resolve(&second);
    }
}

#[test]
fn a_syncer_with_its_service_monitor_moves_to_another_namespace_together() {
    let objects = overlays::build(
        &overlays::with("- ../k8s/base\n- ../k8s/monitoring/operator/syncer")
            .unwrap()
            .text,
    );
    let objects = objects.unwrap();
    assert_references_resolve(&objects);
    let monitor = of_kind(&objects, "ServiceMonitor")[0];
    let service = of_kind(&objects, "Service")[0];
    assert_eq!(
        text(monitor, "/metadata/namespace"),
        text(service, "/metadata/namespace")
    );
    assert!(selects(
        &monitor["spec"]["selector"]["matchLabels"],
        &service["metadata"]["labels"]
    ));
}

#[test]
fn monitors_apart_from_what_they_select_select_in_every_namespace() {
    let objects = overlays::build(&overlays::with("operator/any-namespace").unwrap().text).unwrap();
    assert_references_resolve(&objects);
    let monitors = objects
        .iter()
        .filter(|object| text(object, "/kind").ends_with("Monitor"));
    let monitors: Vec<_> = monitors.collect();
    // All that are shipped, whatever their own selector was.
    let shipped = kustomize::build(&repository("k8s/monitoring/operator")).unwrap();
    let count = shipped
        .iter()
        .filter(|object| text(object, "/kind").ends_with("Monitor"));
    assert_eq!(monitors.len(), count.count());
    for monitor in monitors {
        assert_eq!(text(monitor, "/metadata/namespace"), "monitoring");
        let everywhere = serde_json::json!({"any": true});
        assert_eq!(monitor["spec"]["namespaceSelector"], everywhere, "{monitor}");
    }
}

#[test]
fn the_label_namespace_of_a_syncer_is_kept_by_every_scrape_configuration() {
    let monitor = kustomize::build(&repository("k8s/monitoring/operator/syncer")).unwrap();
    assert_eq!(monitor[0]["spec"]["endpoints"][0]["honorLabels"], true);
    let file = std::fs::read_to_string(repository("k8s/monitoring/prometheus-kubernetes.yaml")).unwrap();
    let file = &infertally_manifests::yaml::documents(&file).unwrap()[0];
    let jobs = file["scrape_configs"].as_array().unwrap();
    let job = jobs.iter().find(|job| job["job_name"] == "infertally-syncer").unwrap();
    assert_eq!(job["honor_labels"], true);
}

/// The rules that the syncer needs where its pools are.
fn pool_rules(objects: &[Value], kind: &str, name: &str) -> Value {
    let roles = of_kind(objects, kind);
    let role = roles.iter().find(|role| text(role, "/metadata/name") == name).unwrap();
    role["rules"].clone()
}

#[test]
fn a_syncer_of_all_namespaces_has_the_same_permissions_everywhere_and_can_connect_to_all_pods() {
    let own = kustomize::build(&repository("k8s/base")).unwrap();
    let rules = pool_rules(&own, "Role", "infertally-syncer");
    let objects = overlays::build(&overlays::with("base/all-namespaces").unwrap().text).unwrap();
    assert_references_resolve(&objects);
    assert_eq!(pool_rules(&objects, "ClusterRole", "infertally-pool-reader"), rules);
    let egress = |objects: &[Value]| of_kind(objects, "NetworkPolicy")[0]["spec"]["egress"][0]["to"].clone();
    assert_eq!(egress(&own), serde_json::json!([{"podSelector": {}}]));
    assert_eq!(
        egress(&objects),
        serde_json::json!([{"podSelector": {}}, {"namespaceSelector": {}}])
    );

    let reader = overlays::build(&overlays::with("base/pool-reader").unwrap().text).unwrap();
    assert_eq!(pool_rules(&reader, "Role", "infertally-pool-reader"), rules);
    let binding = of_kind(&reader, "RoleBinding")[0];
    assert_eq!(text(binding, "/metadata/namespace"), "team-b");
    // The account of the syncer that the other overlay moves.
    let account = of_kind(&objects, "ServiceAccount")
        .into_iter()
        .find(|account| text(account, "/metadata/name") == "infertally-syncer")
        .unwrap();
    assert_eq!(
        text(binding, "/subjects/0/namespace"),
        text(account, "/metadata/namespace")
    );
}
