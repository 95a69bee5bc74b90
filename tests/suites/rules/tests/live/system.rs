//! The system under test: model servers, Envoys, syncers, a sidecar, and the Prometheus that monitors them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT};
use infertally_harness::client::{exchange, request};
use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig};
use infertally_harness::page::{Load, small};
use infertally_harness::ports::Port;
use infertally_harness::{Behaviour, Pod, Syncer};
use infertally_harness::{Result, eventually};
use infertally_sim::{Sim, SimConfig};
use tokio::task::JoinSet;

use crate::monitoring::{Monitoring, Targets};
use crate::sidecar::Sidecar;
use crate::traffic::{self, Kind};

/// The page of an idle pod.
pub const IDLE: &str = "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n";
/// Just enough for the healthy traffic.
const MAX_MODELS: usize = Kind::HEALTHY.len();
const TAG: &str = "  - {tag_name: version, regex: '(version=\\.=(.*?);\\.;)'}\n";

pub struct System {
    pub pods: Vec<Pod>,
    pub sidecar: Option<Sidecar>,
    pub envoys: Vec<Envoy>,
    pub syncers: Vec<Syncer>,
    pub targets_file: PathBuf,
    pub monitoring: Monitoring,
    targets: String,
    pub sim: Sim,
    traffic: JoinSet<()>,
    /// Of the syncers, and of what is not there.
    ports: Vec<Port>,
}

/// The page of a pod with this load.
pub fn pool_page(waiting: f64, running: f64, kv_cache: f64) -> Bytes {
    small(Load {
        waiting,
        running,
        kv_cache,
    })
}

fn path(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| panic!("{variable} is not set: run these tests with `make test`"))
}

/// Uses the build of the filter in which a request header traps the VM.
fn binaries() -> Binaries {
    Binaries {
        wasm: path("INFERTALLY_TRAP_WASM"),
        ..Binaries::from_env().unwrap()
    }
}

fn few_models(config: EnvoyConfig) -> Result<EnvoyConfig> {
    config.replace("\"maxModels\": 200", &format!("\"maxModels\": {MAX_MODELS}"))
}

async fn start_syncer(listen: SocketAddr, more: &[&str]) -> Result<Syncer> {
    let mut command = Command::new(path("INFERTALLY_SYNCER"));
    command.args(["pool", "--listen", &listen.to_string(), "--scrape-interval", "500ms"]);
    command.args(["--scrape-timeout", "490ms", "--stale-after", "2s"]);
    command.args(["--envoy-interval", "500ms", "--envoy-stale-after", "2s"]);
    Syncer::start(command.args(more)).await
}

// === impl System ===

impl System {
    pub async fn start() -> Self {
        let sim = Sim::start(SimConfig {
            adapters: Kind::ADAPTERS.map(str::to_owned).into(),
            ..SimConfig::default()
        });
        let sim = sim.await.unwrap();
        let (mut pods, mut envoys, mut syncers, mut ports) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            pods.push(Pod::start(Behaviour::Page(IDLE.into())).await.unwrap());
            let envoy = Envoy::start(&binaries(), sim.addr(), 1, few_models).await;
            envoys.push(envoy.unwrap());
        }
        let targets = pods
            .iter()
            .map(|pod| format!("{}\n", pod.target(&pod.port().to_string())));
        let targets: String = targets.collect();
        let targets_file = std::env::temp_dir().join(format!("infertally-rules-{}", std::process::id()));
        std::fs::write(&targets_file, &targets).unwrap();
        let file = targets_file.display().to_string();
        for _ in 0..2 {
            let port = Port::reserve().unwrap();
            syncers.push(start_syncer(port.address(), &["--targets-file", &file]).await.unwrap());
            ports.push(port);
        }
        let sidecar = Sidecar::start(&path("INFERTALLY_SYNCER"), sim.addr()).await;
        let monitoring = Monitoring::start(Targets {
            syncers: syncers.iter().map(Syncer::address).collect(),
            envoys: envoys.iter().map(Envoy::stats_listener).collect(),
            sidecars: vec![sidecar.address()],
        });
        Self {
            monitoring: monitoring.await,
            pods,
            sidecar: Some(sidecar),
            envoys,
            syncers,
            targets_file,
            targets,
            sim,
            traffic: JoinSet::new(),
            ports,
        }
    }

    /// Replaces the traffic.
    pub async fn send(&mut self, kinds: &[Kind]) {
        let envoys: Vec<_> = self.envoys.iter().map(Envoy::listener).collect();
        self.traffic = traffic::send(kinds, &envoys);
    }

    pub fn write_targets(&self) {
        let new = self.targets_file.with_extension("new");
        std::fs::write(&new, &self.targets).unwrap();
        std::fs::rename(new, &self.targets_file).unwrap();
    }

    /// Traps the filter in the first Envoy; a later request gets a new VM.
    pub async fn trap_the_filter(&self) {
        let envoy = self.envoys[0].listener();
        let status = async |headers: &[_], body| -> Result<u16> {
            let request = request("POST", COMPLETIONS, headers, body);
            Ok(exchange(envoy, &request, usize::MAX).await?.response.status)
        };
        assert_eq!(status(&[("x-infertally-trap", "1")], b"{}").await.unwrap(), 503);
        let recovered = eventually(async || match status(&[], PROMPT).await? {
            200 => Ok(()),
            status => Err(format!("status {status}").into()),
        });
        recovered.await.unwrap();
    }

    /// Restarts the second Envoy on its ports with an error in its configuration.
    pub async fn restart_envoy_without_a_tag(&mut self) {
        let envoy = self.envoys.pop().unwrap();
        let ports = envoy.ports();
        drop(envoy);
        let envoy = Envoy::start_on(&binaries(), ports, 1, |config| few_models(config)?.replace(TAG, "")).await;
        self.envoys.push(envoy.unwrap());
    }

    /// Restarts the second syncer on its port with one more Envoy, whose address it returns.
    pub async fn restart_syncer_with_an_unreachable_envoy(&mut self) -> SocketAddr {
        let port = Port::reserve().unwrap();
        let unreachable = port.address();
        self.ports.push(port);
        let syncer = self.syncers.pop().unwrap();
        let address = syncer.address();
        syncer.terminate().await.unwrap();
        let (file, envoy) = (self.targets_file.display().to_string(), format!("http://{unreachable}"));
        let syncer = start_syncer(address, &["--targets-file", &file, "--envoy", &envoy]).await;
        self.syncers.push(syncer.unwrap());
        unreachable
    }
}

impl Drop for System {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.targets_file);
    }
}
