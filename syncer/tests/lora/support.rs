//! Helpers: a simulated server, a mounted configuration, and the role as a process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use infertally_harness::{Mount, Syncer};
use infertally_sim::{Sim, SimConfig};

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");
const FILE: &str = "configmap.yaml";
/// Short, so that a test sees many polls.
const INTERVALS: [&str; 4] = ["--reconcile-trigger", "200ms", "--health-check-interval", "100ms"];

/// A mounted ConfigMap.
pub struct Config(Mount);

// === impl Config ===

impl Config {
    pub fn new() -> Self {
        Self(Mount::new().unwrap())
    }

    /// Of the file, which may not exist yet.
    pub fn path(&self) -> PathBuf {
        self.0.path(FILE)
    }

    /// Replaces the file as kubelet does, by swapping a symbolic link.
    pub fn write(&self, text: &str) -> &Self {
        static VERSION: AtomicU64 = AtomicU64::new(0);
        let version = VERSION.fetch_add(1, Ordering::Relaxed).to_string();
        self.0.mount(&version, &[(FILE, text)]).unwrap();
        self
    }
}

/// A server without faults. Its base model is `tiny`.
pub async fn server() -> Sim {
    Sim::start(SimConfig::default()).await.unwrap()
}

/// A configuration for this server. `+a=/s` puts an adapter and its source into `ensureExist`, `-a` one into
/// `ensureNotExist`.
pub fn yaml(server: &Sim, adapters: &str) -> String {
    yaml_at("127.0.0.1", server.addr().port(), adapters)
}

pub fn yaml_at(host: &str, port: u16, adapters: &str) -> String {
    with_lists(format!("vLLMLoRAConfig:\n  host: {host}\n  port: {port}\n"), adapters)
}

/// The same for servers beside each other.
pub fn yaml_of(servers: &[&Sim], adapters: &str) -> String {
    let ports: Vec<_> = servers.iter().map(|server| server.addr().port()).collect();
    with_lists(
        format!("vLLMLoRAConfig:\n  host: 127.0.0.1\n  ports: {ports:?}\n"),
        adapters,
    )
}

fn with_lists(mut text: String, adapters: &str) -> String {
    for (list, sign) in [("ensureExist", '+'), ("ensureNotExist", '-')] {
        write!(text, "  {list}:\n    models:\n").unwrap();
        for word in adapters.split_whitespace().filter_map(|word| word.strip_prefix(sign)) {
            match word.split_once('=') {
                Some((id, source)) => write!(text, "    - id: {id}\n      source: {source}\n").unwrap(),
                None => writeln!(text, "    - id: {word}").unwrap(),
            }
        }
    }
    text
}

/// Starts the role and waits until it serves.
pub async fn start(config: &Config, arguments: &[&str]) -> Syncer {
    Syncer::start(&mut command(
        config,
        &[
            &INTERVALS,
            &["--metrics-port", "0", "--metrics-address", "127.0.0.1"],
            arguments,
        ]
        .concat(),
    ))
    .await
    .unwrap()
}

/// Runs the role until it exits.
pub fn run(config: &Config, arguments: &[&str]) -> Output {
    command(config, arguments).output().unwrap()
}

fn command(config: &Config, arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(BINARY));
    command
        .arg("lora")
        .env("DYNAMIC_LORA_ROLLOUT_CONFIG", config.path())
        .args(arguments);
    command
}

/// Waits until an adapter has this status, 1 or 0, and this reason.
pub async fn wait_for_status(syncer: &Syncer, id: &str, value: u8, reason: &str) {
    let status = format!(r#"lora_syncer_adapter_status{{adapter_name="{id}"}} {value}"#);
    let info = format!(r#"lora_syncer_adapter_info{{adapter_name="{id}",reason="{reason}","#);
    infertally_harness::eventually(async || {
        let page = syncer.metrics().await?;
        match page.contains(&status) && page.lines().any(|line| line.starts_with(&info)) {
            true => Ok(()),
            false => Err(format!("no {status} and {info} in\n{page}").into()),
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", syncer.log()));
}

/// Loads and unloads since the last call, in order: `load a /a`, `reload a /b`, `unload a`.
pub fn take_operations(server: &Sim) -> Vec<String> {
    let calls = server
        .take_received_requests()
        .into_iter()
        .filter(|call| call.method == "POST");
    calls
        .map(|call| {
            let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
            let name = body["lora_name"].as_str().unwrap();
            match call.path.as_str() {
                "/v1/unload_lora_adapter" | "/unload_lora_adapter" => format!("unload {name}"),
                _ => {
                    let verb = if body["load_inplace"] == true { "reload" } else { "load" };
                    format!("{verb} {name} {}", body["lora_path"].as_str().unwrap())
                }
            }
        })
        .collect()
}

/// Waits until the server has received all of these.
pub async fn wait_for_operations(server: &Sim, expected: &[&str]) {
    let received = RefCell::new(Vec::new());
    infertally_harness::eventually(async || {
        let mut received = received.borrow_mut();
        received.extend(take_operations(server));
        match *received == expected {
            true => Ok(()),
            false => Err(format!("{received:?}, not {expected:?}").into()),
        }
    })
    .await
    .unwrap();
}

/// Waits for this many more list requests.
pub async fn wait_for_polls(server: &Sim, number: usize) {
    let lists = || {
        server
            .received_requests()
            .iter()
            .filter(|call| call.path == "/v1/models")
            .count()
    };
    let before = lists();
    infertally_harness::eventually(async || match lists() >= before + number {
        true => Ok(()),
        false => Err("too few polls".into()),
    })
    .await
    .unwrap();
}

/// The number of log lines that contain `part`.
pub fn lines_with(syncer: &Syncer, part: &str) -> usize {
    syncer.log().lines().filter(|line| line.contains(part)).count()
}
