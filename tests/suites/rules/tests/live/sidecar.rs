//! The LoRA role as a sidecar of the model server, with a mounted configuration file.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use infertally_harness::{Mount, Syncer};
use infertally_sim::Sim;

const FILE: &str = "configmap.yaml";
const LOAD_PATH: &str = "/v1/load_lora_adapter";

pub struct Sidecar {
    role: Syncer,
    config: Mount,
}

/// A configuration that requests the adapter `sql`.
fn valid_config(server: SocketAddr) -> String {
    let (host, port) = (server.ip(), server.port());
    format!(
        "vLLMLoRAConfig:\n  host: {host}\n  port: {port}\n  ensureExist:\n    models:\n    - {{id: sql, source: org/sql}}\n"
    )
}

// === impl Sidecar ===

impl Sidecar {
    pub async fn start(binary: &Path, server: SocketAddr) -> Self {
        let config = Mount::new().unwrap();
        config.mount("valid", &[(FILE, &valid_config(server))]).unwrap();
        let mut command = Command::new(binary);
        command.args(["lora", "--metrics-address", "127.0.0.1", "--metrics-port", "0"]);
        command.args(["--reconcile-trigger", "200ms", "--health-check-interval", "100ms"]);
        command.arg("--config").arg(config.path(FILE));
        let role = Syncer::start(&mut command).await.unwrap();
        Self { role, config }
    }

    pub fn address(&self) -> SocketAddr {
        self.role.address()
    }

    /// The file has another source, which the server can't load.
    pub fn change_source(&self, server: &Sim) {
        let text = valid_config(server.addr()).replace("org/sql", "/missing/sql");
        self.config.mount("missing", &[(FILE, &text)]).unwrap();
    }

    /// The model server has restarted and cannot load adapters, and the file is invalid.
    pub fn fail(&self, server: &Sim) {
        server.set_behaviour(LOAD_PATH, "status=500").unwrap();
        server.reset_adapters();
        self.config.mount("invalid", &[(FILE, "vLLMLoRAConfig: [\n")]).unwrap();
    }

    /// The model server loads again and the file is valid. The file also differs from the first one: a change ends the
    /// backoff.
    pub fn recover(&self, server: &Sim) {
        server.set_behaviour(LOAD_PATH, "").unwrap();
        let text = valid_config(server.addr()).replace("org/sql", "org/sql-2");
        self.config.mount("changed", &[(FILE, &text)]).unwrap();
    }
}
