//! A real Prometheus as a process, and what it computes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use infertally_e2e::client::get;
use infertally_e2e::eventually;
use serde_json::Value;

use crate::Result;
use crate::process::{Process, folder};

/// A running Prometheus; it ends when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts the binary of `$PROMETHEUS`, which scrapes this address each 200 ms.
    ///
    /// # Errors
    /// If there is none, or it doesn't start.
    pub async fn scraping(target: SocketAddr) -> Result<Self> {
        let binary = std::env::var_os("PROMETHEUS")
            .map(PathBuf::from)
            .ok_or("PROMETHEUS is not set: run these tests by `make test`")?;
        let folder = folder("prometheus")?;
        let config = folder.join("prometheus.yml");
        std::fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
                 scrape_configs: [{{job_name: syncer, static_configs: [{{targets: ['{target}']}}]}}]\n"
            ),
        )?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = Process::start(
            Command::new(&binary)
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address={address}")),
            folder,
        )?;
        let prometheus = Self {
            address,
            _process: process,
        };
        eventually(async || get(address, "/-/ready").await).await?;
        Ok(prometheus)
    }

    /// What an expression is now: each series' labels, as JSON, and its value.
    ///
    /// # Errors
    /// If it can't be computed.
    pub async fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            path.push_str(&format!("%{byte:02X}"));
        }
        let answer: Value = serde_json::from_str(&get(self.address, &path).await?)?;
        let found = answer.pointer("/data/result").and_then(Value::as_array);
        found
            .ok_or_else(|| format!("{expression}: {answer}"))?
            .iter()
            .map(|series| {
                let value = series.pointer("/value/1").and_then(Value::as_str).ok_or("no value")?;
                Ok((series.get("metric").cloned().unwrap_or_default(), value.parse()?))
            })
            .collect()
    }
}
