//! A real Envoy with the shipped `envoy.yaml`, as a child process on ports of its own.

mod config;
mod process;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use crate::client::get;
use crate::stats::{Stats, parse};
use crate::{Result, eventually};
pub use config::EnvoyConfig;
use process::Process;

/// How often a port that another process took in the meantime may spoil a start.
const STARTS: usize = 5;
/// Time for one look whether it is ready, after which its process is looked at.
const READY: Duration = Duration::from_secs(1);

/// The ports of an Envoy, all on loopback, and of the server behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where clients come in.
    pub listener: u16,
    /// The admin interface.
    pub admin: u16,
    /// The stats for Prometheus.
    pub stats: u16,
    /// The model server.
    pub upstream: u16,
}

/// A running Envoy; it ends when this is dropped.
#[derive(Debug)]
pub struct Envoy {
    ports: Ports,
    process: Process,
}

/// Where the binary and the filter are.
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
    /// Says what to do where a variable is not set.
    pub fn from_env() -> Result<Self> {
        let path = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .ok_or_else(|| format!("{name} is not set: run these tests by `make test`"))
        };
        Ok(Self {
            envoy: path("ENVOY")?,
            wasm: path("INFERTALLY_WASM")?,
        })
    }
}

// === impl Envoy ===

impl Envoy {
    /// Starts the shipped configuration on free ports in front of `upstream`, after `change` has had it.
    ///
    /// # Errors
    /// If Envoy does not come up; with its log.
    pub async fn start(
        binaries: &Binaries,
        upstream: SocketAddr,
        workers: u64,
        change: impl Fn(EnvoyConfig) -> Result<EnvoyConfig>,
    ) -> Result<Self> {
        let mut last = None;
        for _ in 0..STARTS {
            let ports = free_ports(upstream.port())?;
            match Self::start_on(binaries, ports, workers, &change).await {
                Err(error) if error.to_string().contains("Address already in use") => last = Some(error),
                started => return started,
            }
        }
        Err(last.unwrap_or_else(|| "no start".into()))
    }

    /// Starts it on these ports.
    ///
    /// # Errors
    /// If Envoy does not come up; with its log.
    pub async fn start_on(
        binaries: &Binaries,
        ports: Ports,
        workers: u64,
        change: impl Fn(EnvoyConfig) -> Result<EnvoyConfig>,
    ) -> Result<Self> {
        let config = change(EnvoyConfig::shipped()?.on(ports)?.with_wasm(&binaries.wasm)?)?;
        let process = Process::start(&binaries.envoy, config.text(), workers)?;
        let envoy = Self { ports, process };
        let ended = eventually(|| async {
            let ready = timeout(READY, get(envoy.admin(), "/ready")).await;
            // One that died of a port in use has left the port to somebody who may answer or keep silent, and nothing
            // more comes of it.
            match envoy.process.check() {
                Err(ended) => Ok(Err(ended)),
                Ok(()) => ready.map_err(|_| "Envoy is not ready")?.map(|_| Ok(())),
            }
        })
        .await
        .map_err(|error| format!("{error}\n{}", envoy.process.log()))?;
        ended.map(|()| envoy)
    }

    /// Where clients come in.
    pub fn listener(&self) -> SocketAddr {
        loopback(self.ports.listener)
    }

    /// The admin interface.
    pub fn admin(&self) -> SocketAddr {
        loopback(self.ports.admin)
    }

    /// The stats for Prometheus.
    pub fn stats_listener(&self) -> SocketAddr {
        loopback(self.ports.stats)
    }

    /// The filter's series, as Prometheus would get them.
    ///
    /// # Errors
    /// If the page can't be had or read.
    pub async fn scrape(&self) -> Result<Stats> {
        parse(&get(self.stats_listener(), "/stats/prometheus").await?)
    }

    /// The filter's series once they are as `check` wants them: an exchange is recorded a little after its client has
    /// the last byte.
    ///
    /// # Errors
    /// What `check` still said at the end, with Envoy's log.
    pub async fn scrape_until(&self, check: impl Fn(&Stats) -> std::result::Result<(), String>) -> Result<Stats> {
        eventually(|| async {
            let stats = self.scrape().await?;
            check(&stats)?;
            Ok(stats)
        })
        .await
        .map_err(|error| format!("{error}\n{}", self.process.log()).into())
    }

    /// The number of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged: warnings and above.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// An address on this machine.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn free_ports(upstream: u16) -> Result<Ports> {
    // All held at once, so that they differ.
    let hold = || TcpListener::bind(loopback(0));
    let (listener, admin, stats) = (hold()?, hold()?, hold()?);
    let port = |held: &TcpListener| held.local_addr().map(|address| address.port());
    Ok(Ports {
        listener: port(&listener)?,
        admin: port(&admin)?,
        stats: port(&stats)?,
        upstream,
    })
}
