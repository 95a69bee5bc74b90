//! A real Prometheus as a process, and what it computes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use crate::client::get;
use crate::eventually;
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
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: syncer, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        Self::start(&config, &[]).await
    }

    /// Starts it with a configuration, and files beside that by their names.
    ///
    /// # Errors
    /// If there is no binary, or it doesn't start.
    pub async fn start(config: &str, beside: &[(&str, &str)]) -> Result<Self> {
        let binary = std::env::var_os("PROMETHEUS")
            .map(PathBuf::from)
            .ok_or("PROMETHEUS is not set: run these tests by `make test`")?;
        let folder = folder("prometheus")?;
        for (name, text) in beside {
            std::fs::write(folder.join(name), text)?;
        }
        let config_file = folder.join("prometheus.yml");
        std::fs::write(&config_file, config)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = Process::start(
            Command::new(&binary)
                .arg(format!("--config.file={}", config_file.display()))
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

    /// What its HTTP API answers: the `data` of it.
    ///
    /// # Errors
    /// If it can't be had.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let mut answer: Value = serde_json::from_str(&get(self.address, path).await?)?;
        Ok(answer.get_mut("data").map(Value::take).ok_or("no data")?)
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
        let answer = self.api(&path).await?;
        let found = answer.get("result").and_then(Value::as_array);
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
