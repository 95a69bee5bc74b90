//! A real Envoy with the shipped `envoy.yaml`, as a child process on ports of its own.

mod config;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use infertally_oracle::stats::{Stats, parse};
use tokio::time::timeout;

use crate::client::get;
use crate::ports::Port;
use crate::process::{Process, folder, program, write};
use crate::{Result, eventually};
pub use config::EnvoyConfig;

/// Time for one readiness check, after which the process is checked.
const READY: Duration = Duration::from_secs(1);
/// How long a replaced listener drains. Envoy's default of ten minutes is longer than a test.
const DRAIN_SECONDS: &str = "5";

/// The ports of an Envoy, all on loopback, and of the server behind it.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The listener for clients.
    pub listener: Port,
    /// The admin interface.
    pub admin: Port,
    /// The stats listener, for Prometheus.
    pub stats: Port,
    /// The model server's.
    pub upstream: u16,
}

/// A running Envoy; it is killed when this is dropped.
#[derive(Debug)]
pub struct Envoy {
    // Dropped first, so that its ports are free when they are released.
    process: Process,
    ports: Ports,
}

/// The paths of Envoy and of the filter.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// Envoy.
    pub envoy: PathBuf,
    /// `infertally.wasm`.
    pub wasm: PathBuf,
}

// === impl Binaries ===

impl Binaries {
    /// From the environment, as `make test` sets it.
    ///
    /// # Errors
    /// If a variable is not set.
    pub fn from_env() -> Result<Self> {
        Ok(Self {
            envoy: program("ENVOY")?,
            wasm: program("INFERTALLY_WASM")?,
        })
    }
}

// === impl Ports ===

impl Ports {
    /// Reserves ports in front of this server. Envoy must know them before it starts, since its stats listener forwards
    /// to its admin interface.
    ///
    /// # Errors
    /// If there are none.
    pub fn reserve(upstream: SocketAddr) -> Result<Self> {
        Ok(Self {
            listener: Port::reserve()?,
            admin: Port::reserve()?,
            stats: Port::reserve()?,
            upstream: upstream.port(),
        })
    }
}

// === impl Envoy ===

impl Envoy {
    /// Starts the shipped configuration, changed by `change`, on reserved ports in front of `upstream`.
    ///
    /// # Errors
    /// If Envoy does not become ready; with its log.
    pub async fn start(
        binaries: &Binaries,
        upstream: SocketAddr,
        workers: u64,
        change: impl Fn(EnvoyConfig) -> Result<EnvoyConfig>,
    ) -> Result<Self> {
        Self::start_on(binaries, Ports::reserve(upstream)?, workers, change).await
    }

    /// The same on these ports.
    ///
    /// # Errors
    /// If Envoy does not become ready; with its log.
    pub async fn start_on(
        binaries: &Binaries,
        ports: Ports,
        workers: u64,
        change: impl Fn(EnvoyConfig) -> Result<EnvoyConfig>,
    ) -> Result<Self> {
        let config = change(EnvoyConfig::shipped()?.on(&ports)?.with_wasm(&binaries.wasm)?)?;
        let folder = folder("envoy")?;
        let mut command = Command::new(&binaries.envoy);
        command
            .arg("-c")
            .arg(write(&folder, "envoy.yaml", config.text())?)
            .args(["--concurrency", &workers.to_string()])
            .args(["-l", "warning", "--disable-hot-restart"])
            .args(["--drain-time-s", DRAIN_SECONDS]);
        let process = Process::start(&command, folder)?;
        let envoy = Self { process, ports };
        let exited = eventually(|| async {
            let ready = timeout(READY, get(envoy.admin(), "/ready")).await;
            // Once it has exited, retries are of no use; another process may even hold its port, and never respond.
            match envoy.process.exit_status() {
                Some(status) => Ok(Some(status)),
                None => ready.map_err(|_| "Envoy is not ready")?.map(|_| None),
            }
        })
        .await
        .map_err(|error| format!("{error}\n{}", envoy.log()))?;
        match exited {
            Some(status) => Err(format!("Envoy exited ({status}):\n{}", envoy.log()).into()),
            None => Ok(envoy),
        }
    }

    /// Its ports. Envoy can be started on them again once this one is dropped.
    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// The listener for clients.
    pub fn listener(&self) -> SocketAddr {
        self.ports.listener.address()
    }

    /// The admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.ports.admin.address()
    }

    /// The stats listener, for Prometheus.
    pub fn stats_listener(&self) -> SocketAddr {
        self.ports.stats.address()
    }

    /// The filter's series, as Prometheus would scrape them.
    ///
    /// # Errors
    /// If the page cannot be fetched or parsed.
    pub async fn scrape(&self) -> Result<Stats> {
        parse(&get(self.stats_listener(), "/stats/prometheus").await?)
    }

    /// The filter's series once `check` accepts them: an exchange is recorded shortly after its client has the last byte.
    ///
    /// # Errors
    /// The last error of `check`, with Envoy's log.
    pub async fn scrape_until(&self, check: impl Fn(&Stats) -> std::result::Result<(), String>) -> Result<Stats> {
        eventually(|| async {
            let stats = self.scrape().await?;
            check(&stats)?;
            Ok(stats)
        })
        .await
        .map_err(|error| format!("{error}\n{}", self.log()).into())
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Its log: warnings and above.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// An address on loopback.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
