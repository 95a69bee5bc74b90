//! The manifests of `k8s`: every folder builds, and its contents are checked against the filter's labels, the syncer's own
//! argument parser and the restricted security level.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use infertally_filter::labels::Label;
use infertally_harness::envoy::Binaries;
use infertally_harness::repository;
use infertally_manifests::yaml::{self, text};
use infertally_manifests::{kustomize, pods, standalone, syncer};
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

fn labels() -> Vec<&'static str> {
    Label::ALL.iter().map(|label| label.as_str()).collect()
}

fn extra_stat_tags(annotations: &Value) -> Vec<String> {
    let config = annotations["proxy.istio.io/config"].as_str().unwrap();
    let config = &yaml::documents(config).unwrap()[0];
    assert_eq!(
        config.as_object().unwrap().len(),
        1,
        "Istio ignores a misspelled key: {config}"
    );
    serde_json::from_value(config["extraStatTags"].clone()).unwrap()
}

#[test]
fn every_folder_builds_without_duplicate_objects() {
    for folder in kustomize::folders().unwrap() {
        let mut names = BTreeSet::new();
        for object in kustomize::build(&folder).unwrap() {
            for field in ["/apiVersion", "/kind", "/metadata/name"] {
                assert!(
                    !text(&object, field).is_empty(),
                    "{}: no {field}: {object}",
                    folder.display()
                );
            }
            let name = [
                text(&object, "/kind"),
                text(&object, "/metadata/namespace"),
                text(&object, "/metadata/name"),
            ];
            assert!(
                names.insert(name.map(str::to_owned)),
                "{}: duplicate: {name:?}",
                folder.display()
            );
        }
        assert!(!names.is_empty(), "{}", folder.display());
    }
}

#[test]
fn every_file_is_yaml_and_named_by_its_kustomization() {
    for file in yaml::files(&repository("k8s"), ".yaml").unwrap() {
        let documents = yaml::documents(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert!(!documents.is_empty(), "{}", file.display());
        // Files that are not Kubernetes objects, such as envoy.yaml, are not resources.
        let objects = documents.iter().any(|document| document.get("apiVersion").is_some());
        let kustomization = file.with_file_name("kustomization.yaml");
        if !objects || !kustomization.is_file() || file == kustomization {
            continue;
        }
        let named = std::fs::read_to_string(&kustomization).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(named.contains(name), "{} does not name {name}", kustomization.display());
    }
}

#[test]
fn every_label_of_the_filter_has_its_tag_in_the_filters_order() {
    let object = |path: &str, kind: &str| {
        let objects = yaml::documents(&read(path)).unwrap();
        objects
            .into_iter()
            .find(|object| text(object, "/kind") == kind)
            .unwrap()
    };
    let gateway = object("k8s/istio/gateway/gateway.yaml", "Gateway");
    assert_eq!(
        extra_stat_tags(&gateway["spec"]["infrastructure"]["annotations"]),
        labels()
    );
    let pods = object("k8s/istio/sidecar/stat-tags.yaml", "Deployment");
    assert_eq!(
        extra_stat_tags(&pods["spec"]["template"]["metadata"]["annotations"]),
        labels()
    );

    let proxy = object("k8s/envoy-gateway/envoyproxy.yaml", "EnvoyProxy");
    let bootstrap = &proxy["spec"]["bootstrap"];
    assert_eq!(bootstrap["type"], "Merge");
    let ours = &yaml::documents(bootstrap["value"].as_str().unwrap()).unwrap()[0];
    let shipped = &yaml::documents(&read("envoy.yaml")).unwrap()[0];
    assert_eq!(ours["stats_config"], shipped["stats_config"]);
}

#[test]
fn the_standalone_envoys_file_is_up_to_date() {
    assert!(
        read(standalone::FILE) == standalone::generated().unwrap(),
        "{} is out of date: run `cargo run --package infertally-manifests`",
        standalone::FILE
    );
}

#[test]
fn every_pod_complies_with_the_restricted_level() {
    let objects = kustomize::everything().unwrap();
    let pods: Vec<_> = objects.iter().filter_map(pods::template).collect();
    assert!(pods.len() >= 3, "{}", pods.len());
    for pod in &pods {
        assert_eq!(pods::violations(pod), Vec::<String>::new(), "{pod}");
    }
    // The check can fail.
    let mut pod = pods[0].clone();
    pod["spec"]["securityContext"]["runAsNonRoot"] = Value::Bool(false);
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = serde_json::json!({"drop": []});
    assert_eq!(pods::violations(&pod).len(), 2);
}

#[test]
fn the_syncer_accepts_its_containers_arguments_and_variables() {
    let mut found = 0;
    for object in kustomize::everything().unwrap() {
        let Some(pod) = pods::template(&object) else { continue };
        for container in pods::containers(pod) {
            if !text(container, "/image").starts_with("infertally-syncer:") {
                continue;
            }
            found += 1;
            assert_eq!(syncer::accepts_container(container), Ok(()), "{container}");
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            assert_eq!(
                pod["spec"]["enableServiceLinks"], false,
                "variables of a Service would look like flags"
            );
            for limit in ["cpu", "memory"] {
                assert!(container["resources"]["limits"][limit].is_string(), "{container}");
                assert!(container["resources"]["requests"][limit].is_string(), "{container}");
            }
        }
    }
    assert!(found >= 2, "{found}");
}

#[test]
fn images_are_pinned_to_the_tested_versions() {
    let pins = read("scripts/pins.toml");
    let (_, envoy) = pins.split_once("[envoy]\nversion = \"").unwrap();
    let (envoy, _) = envoy.split_once('"').unwrap();
    for object in kustomize::everything().unwrap() {
        let Some(pod) = pods::template(&object) else { continue };
        for container in pods::containers(pod) {
            let image = text(container, "/image");
            let (name, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image}: no tag"));
            assert_ne!(tag, "latest", "{image}");
            if name.starts_with("infertally") {
                assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{image}");
            }
            if name == "envoyproxy/envoy" {
                assert_eq!(tag, format!("v{envoy}"), "{image}: the tests run another version");
            }
        }
    }
}

#[test]
fn the_shipped_adapter_configurations_are_valid() {
    let mut found = 0;
    for object in kustomize::everything().unwrap() {
        let Some(adapters) = object.pointer("/data/configmap.yaml").and_then(Value::as_str) else {
            continue;
        };
        found += 1;
        assert!(
            infertally_syncer::lora::config::parse(adapters.as_bytes()).is_ok(),
            "{adapters}"
        );
    }
    assert!(found > 0);
}

#[test]
fn envoy_accepts_the_standalone_file() {
    let binaries = Binaries::from_env().unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("envoy.yaml");
    let wasm = binaries.wasm.display().to_string();
    std::fs::write(
        &file,
        read(standalone::FILE).replace("/etc/infertally/infertally.wasm", &wasm),
    )
    .unwrap();
    let envoy = Command::new(binaries.envoy)
        .args(["--mode", "validate", "-c"])
        .arg(file)
        .output()
        .unwrap();
    assert!(envoy.status.success(), "{}", String::from_utf8_lossy(&envoy.stderr));
}

/// The file's paths and ports exist in the pod.
#[test]
fn the_standalone_envoys_pod_has_the_paths_and_ports_of_its_file() {
    let objects = kustomize::build(&repository("k8s/envoy")).unwrap();
    let pod = objects.iter().find_map(pods::template).unwrap();
    let container = pods::containers(pod).next().unwrap();
    let mounts = container["volumeMounts"].as_array().unwrap();
    for path in ["/etc/envoy", "/etc/infertally"] {
        assert!(mounts.iter().any(|mount| mount["mountPath"] == path), "{path}");
    }
    let ports: Vec<_> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["containerPort"].clone())
        .collect();
    for port in &ports {
        assert!(
            read(standalone::FILE).contains(&format!("address: 0.0.0.0, port_value: {port}}}")),
            "{port}"
        );
    }
    let server = objects
        .iter()
        .find(|object| object["spec"]["clusterIP"] == "None")
        .unwrap();
    assert!(read(standalone::FILE).contains(&format!("address: {},", text(server, "/metadata/name"))));
}
