//! `compose.yaml` and the files that it mounts, checked without a container engine; `make test-compose` starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::path::Path;
use std::process::Command;

use infertally_harness::envoy::Binaries;
use infertally_harness::repository;
use infertally_syncer::lora::config;
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// The services by name.
fn services() -> Vec<(String, Value)> {
    let compose: Value = serde_saphyr::from_str(&read("compose.yaml")).unwrap();
    let services = compose["services"].as_object().unwrap();
    services
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The files and folders of the repository that a service mounts.
fn mounted(service: &Value) -> Vec<String> {
    let volumes = service["volumes"].as_array().into_iter().flatten();
    let sources = volumes.filter_map(|volume| volume["source"].as_str().or(volume.as_str()?.split(':').next()));
    sources
        .filter_map(|source| Some(source.strip_prefix("./")?.to_owned()))
        .collect()
}

#[test]
fn every_service_has_a_pinned_image_a_health_check_and_no_privileges() {
    let ours = format!(":{}", env!("CARGO_PKG_VERSION"));
    let services = services();
    assert_eq!(services.len(), 9, "the services that docs/compose.md describes");
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        let (image, tag) = image.rsplit_once(':').expect("a tag");
        assert!(tag.contains('.') && tag.contains(char::is_numeric), "{name}: {tag}");
        if image.starts_with("infertally") {
            assert_eq!(format!(":{tag}"), ours, "{name}");
        } else {
            // The image's own user is a number, and not root's.
            assert!(!service["user"].as_str().unwrap().starts_with('0'), "{name}");
        }
        assert!(service["healthcheck"]["test"].is_array(), "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
    }
}

#[test]
fn ports_are_published_on_loopback_and_documented() {
    let document = read("docs/compose.md");
    let mut published = 0;
    for (name, service) in services() {
        for port in texts(&service["ports"]) {
            let rest = port.strip_prefix("127.0.0.1:${").expect("loopback");
            let (variable, rest) = rest.split_once(":-").unwrap();
            let (default, _) = rest.split_once('}').unwrap();
            assert!(
                document.contains(&format!("http://localhost:{default}")),
                "{name}: {default}"
            );
            assert!(document.contains(variable), "{name}: {variable}");
            published += 1;
        }
    }
    assert_eq!(published, 5);
}

#[test]
fn every_mounted_file_is_in_the_repository() {
    for (name, service) in services() {
        for path in mounted(&service) {
            // dist/ is built.
            assert!(
                path.starts_with("dist/") || repository(&path).exists(),
                "{name}: {path}"
            );
        }
    }
}

#[test]
fn envoy_yaml_is_changed_in_one_address_and_is_valid() {
    let services = services();
    let (_, envoy) = services.iter().find(|(name, _)| name == "envoy").unwrap();
    let command = texts(&envoy["command"]).collect::<String>();
    // Compose writes a dollar as two.
    let command = command.replace("$$", "$");
    let edit = command.strip_prefix("exec envoy --config-yaml \"$(").unwrap();
    let edit = edit.strip_suffix(")\"").unwrap();
    let edited = Command::new("sh")
        .args(["-euc", edit])
        .current_dir(repository("."))
        .output()
        .unwrap();
    let edited = String::from_utf8(edited.stdout).unwrap();

    let shipped = read("envoy.yaml");
    assert_eq!(edited.lines().count(), shipped.lines().count());
    let changed: Vec<_> = shipped
        .lines()
        .zip(edited.lines())
        .filter(|(was, is)| was != is)
        .collect();
    let [(was, is)] = changed.as_slice() else {
        assert_eq!(changed, [], "one line");
        return;
    };
    assert_eq!(was.replace("127.0.0.1", "model-servers"), *is);
    for (name, service) in &services {
        let is_server = name.starts_with("vllm-");
        let aliases = texts(&service["networks"]["default"]["aliases"]).collect::<Vec<_>>();
        assert_eq!(aliases == ["model-servers"], is_server, "{name}");
    }

    let Binaries { envoy, wasm } = Binaries::from_env().unwrap();
    let edited = edited.replace("dist/infertally.wasm", wasm.to_str().unwrap());
    let valid = Command::new(envoy)
        .args(["--mode", "validate", "--config-yaml", &edited])
        .output()
        .unwrap();
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
}

#[test]
fn the_prometheus_configuration_is_valid_and_scrapes_no_series_twice() {
    let promtool = std::env::var("PROMTOOL").expect("scripts/test.sh sets PROMTOOL");
    let folder = std::env::temp_dir().join(format!("infertally-compose-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (from, name) in [
        ("compose/prometheus.yml", "prometheus.yml"),
        ("k8s/monitoring/alerts.yaml", "alerts.yaml"),
    ] {
        std::fs::copy(repository(from), folder.join(name)).unwrap();
    }
    let check = Command::new(promtool)
        .args(["check", "config"])
        .arg(folder.join("prometheus.yml"))
        .output();
    std::fs::remove_dir_all(&folder).unwrap();
    let check = check.unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));

    let config: Value = serde_saphyr::from_str(&read("compose/prometheus.yml")).unwrap();
    let jobs = config["scrape_configs"].as_array().unwrap();
    let targets = jobs.iter().flat_map(|job| texts(&job["static_configs"][0]["targets"]));
    let targets = targets.collect::<Vec<_>>();
    assert!(targets.contains(&"syncer:9090"), "{targets:?}");
    assert!(
        !targets.iter().any(|target| target.starts_with("envoy:")),
        "{targets:?}"
    );
}

#[test]
fn the_adapter_configurations_are_valid() {
    for folder in ["compose/lora", "compose/vllm"] {
        let file = Path::new(folder).join("configmap.yaml");
        let parsed = config::parse(read(file.to_str().unwrap()).as_bytes());
        assert!(parsed.is_ok(), "{file:?}: {:?}", parsed.err());
    }
}
