//! A real Prometheus as a child process, and its HTTP API.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::client::get;
use crate::ports::Port;
use crate::process::{Process, folder, program, write};
use crate::{Result, eventually};

/// A running Prometheus; it is killed when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    // Dropped first, so that its port is free when it is released.
    _process: Process,
    port: Port,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts the binary of `$PROMETHEUS`, which scrapes this address every 200 ms.
    ///
    /// # Errors
    /// If there is none, or it does not become ready.
    pub async fn scraping(target: SocketAddr) -> Result<Self> {
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: syncer, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        Self::start(&config, &[]).await
    }

    /// Starts it with a configuration, and with files beside that by their names.
    ///
    /// # Errors
    /// If there is no binary, or it does not become ready.
    pub async fn start(config: &str, beside: &[(&str, &str)]) -> Result<Self> {
        let binary = program("PROMETHEUS")?;
        let folder = folder("prometheus")?;
        for (name, text) in beside {
            write(&folder, name, text)?;
        }
        let config_file = write(&folder, "prometheus.yml", config)?;
        let port = Port::reserve()?;
        let mut command = Command::new(&binary);
        command
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={}", port.address()));
        let prometheus = Self {
            _process: Process::start(&command, folder)?,
            port,
        };
        eventually(async || get(prometheus.port.address(), "/-/ready").await).await?;
        Ok(prometheus)
    }

    /// The `data` of a response of its HTTP API.
    ///
    /// # Errors
    /// If there is none.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let mut response: Value = serde_json::from_str(&get(self.port.address(), path).await?)?;
        Ok(response.get_mut("data").map(Value::take).ok_or("no data")?)
    }

    /// The value of an expression now: each series' labels, as JSON, with its value.
    ///
    /// # Errors
    /// If it cannot be evaluated.
    pub async fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            path.push_str(&format!("%{byte:02X}"));
        }
        let data = self.api(&path).await?;
        let found = data.get("result").and_then(Value::as_array);
        found
            .ok_or_else(|| format!("{expression}: {data}"))?
            .iter()
            .map(|series| {
                let value = series.pointer("/value/1").and_then(Value::as_str).ok_or("no value")?;
                Ok((series.get("metric").cloned().unwrap_or_default(), value.parse()?))
            })
            .collect()
    }
}
