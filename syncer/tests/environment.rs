//! Variables that Kubernetes sets for Services end nothing, in either role.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::process::Command;

use clap::CommandFactory as _;
use infertally_harness::{Mount, Syncer};
use infertally_syncer::cli::Cli;

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");
const LINK: &str = "tcp://10.0.0.1:9090";
const ROLES: [&str; 2] = ["lora", "pool"];

/// The variables that a role's flags read.
fn variables(role: &str) -> BTreeSet<String> {
    let command = Cli::command();
    let role = command.find_subcommand(role).unwrap();
    let arguments = command.get_arguments().chain(role.get_arguments());
    arguments
        .filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()))
        .collect()
}

/// The variables that kubelet sets for a Service with a port `http`.
fn service_links(service: &str) -> Vec<(String, &'static str)> {
    let name = service.to_uppercase().replace('-', "_");
    let suffixes = [
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_PORT", "9090"),
        ("SERVICE_PORT_HTTP", "9090"),
        ("PORT", LINK),
        ("PORT_9090_TCP", LINK),
        ("PORT_9090_TCP_PROTO", "tcp"),
        ("PORT_9090_TCP_PORT", "9090"),
        ("PORT_9090_TCP_ADDR", "10.0.0.1"),
    ];
    suffixes
        .into_iter()
        .map(|(suffix, value)| (format!("{name}_{suffix}"), value))
        .collect()
}

/// The name of the Service for which kubelet sets the variable `name` to a link.
fn service_of(name: &str) -> Option<String> {
    let service = name.strip_suffix("_PORT")?;
    Some(service.to_lowercase().replace('_', "-"))
}

async fn start(role: &str, variables: &[(String, &str)]) -> Syncer {
    let folder = Mount::new().unwrap();
    folder
        .mount("1", &[("configmap.yaml", "vLLMLoRAConfig: {port: 1}")])
        .unwrap();
    let mut command = Command::new(BINARY);
    command.arg(role);
    match role {
        "pool" => command.args(["--listen", "127.0.0.1:0", "--target", "http://127.0.0.1:1"]),
        _ => command.arg("--config").arg(folder.path("configmap.yaml")).args([
            "--metrics-port",
            "0",
            "--metrics-address",
            "127.0.0.1",
        ]),
    };
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Syncer::start(&mut command).await.unwrap()
}

fn ignored(syncer: &Syncer) -> usize {
    syncer
        .log()
        .lines()
        .filter(|line| line.contains(" ignored: set by Kubernetes"))
        .count()
}

#[tokio::test]
async fn services_with_the_names_of_flags_end_nothing() {
    let all: BTreeSet<_> = ROLES.iter().flat_map(|role| variables(role)).collect();
    let services: Vec<_> = all.iter().filter_map(|name| service_of(name)).collect();
    assert!(services.contains(&"infertally-metrics".to_owned()), "{services:?}");
    let links: Vec<_> = services.iter().flat_map(|service| service_links(service)).collect();
    // Values of other forms, such as those of SERVICE_PORT, have names that no flag reads.
    for (name, value) in &links {
        assert!(*value == LINK || !all.contains(name), "{name}");
    }
    for role in ROLES {
        let syncer = start(role, &links).await;
        let names = variables(role);
        let expected = links.iter().filter(|(name, _)| names.contains(name)).count();
        assert_eq!(ignored(&syncer), expected, "{}", syncer.log());
        syncer.metrics().await.unwrap();
    }
}

/// As with `INFERTALLY_LISTEN`, whatever its name.
#[tokio::test]
async fn no_variable_in_the_form_of_a_service_link_ends_a_role() {
    for role in ROLES {
        let names = variables(role);
        let links: Vec<_> = names.iter().map(|name| (name.clone(), LINK)).collect();
        let syncer = start(role, &links).await;
        assert_eq!(ignored(&syncer), names.len(), "{}", syncer.log());
        for name in &names {
            let line = format!("{name}={LINK} ignored");
            assert!(syncer.log().contains(&line), "{line}\n{}", syncer.log());
        }
    }
}

#[test]
fn other_invalid_values_are_usage_errors() {
    for value in ["tcp", "http://10.0.0.1:9090", "70000"] {
        let mut command = Command::new(BINARY);
        let output = command
            .arg("lora")
            .env("INFERTALLY_METRICS_PORT", value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{value}");
    }
}
