//! The LoRA role beside the model server, with its mounted configuration.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails it")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use infertally_harness::{Mount, Syncer};
use infertally_sim::Sim;

const FILE: &str = "configmap.yaml";
const LOADS: &str = "/v1/load_lora_adapter";

pub struct Sidecar {
    role: Syncer,
    config: Mount,
}

/// It wants the adapter `sql`.
fn good(server: SocketAddr) -> String {
    let (host, port) = (server.ip(), server.port());
    format!(
        "vLLMLoRAConfig:\n  host: {host}\n  port: {port}\n  ensureExist:\n    models:\n    - {{id: sql, source: org/sql}}\n"
    )
}

// === impl Sidecar ===

impl Sidecar {
    pub async fn start(binary: &Path, server: SocketAddr) -> Self {
        let config = Mount::new().unwrap();
        config.mount("good", &[(FILE, &good(server))]).unwrap();
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

    /// The server has been restarted and can't load any more, and somebody has broken the file.
    pub fn breaks(&self, server: &Sim) {
        server.set_behaviour(LOADS, "status=500").unwrap();
        server.reset_adapters();
        self.config.mount("bad", &[(FILE, "vLLMLoRAConfig: [\n")]).unwrap();
    }

    /// All is well again. The file differs from the first, and a change ends all waiting.
    pub fn mends(&self, server: &Sim) {
        server.set_behaviour(LOADS, "").unwrap();
        let text = good(server.addr()).replace("org/sql", "org/sql-2");
        self.config.mount("better", &[(FILE, &text)]).unwrap();
    }
}
