//! Everything that runs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
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

use crate::sidecar::Sidecar;
use crate::traffic::{self, Kind};
use crate::watch::{Targets, Watch};

/// A pod that has nothing to do.
pub const CALM: &str = "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n";
/// As many as there are kinds of good traffic.
const MAX_MODELS: usize = Kind::WELL.len();
const TAG: &str = "  - {tag_name: version, regex: '(version=\\.=(.*?);\\.;)'}\n";

pub struct Stage {
    pub pods: Vec<Pod>,
    pub sidecar: Option<Sidecar>,
    pub envoys: Vec<Envoy>,
    pub syncers: Vec<Syncer>,
    pub targets_file: PathBuf,
    pub watch: Watch,
    targets: String,
    pub sim: Sim,
    traffic: JoinSet<()>,
    /// Of the syncers, and of what is not there.
    ports: Vec<Port>,
}

/// A pod's page.
pub fn pool_page(waiting: f64, running: f64, kv_cache: f64) -> Bytes {
    small(Load {
        waiting,
        running,
        kv_cache,
    })
}

fn path(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| panic!("{variable} is not set: run these tests by `make test`"))
}

/// The filter built so that a header kills its VM.
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
    Syncer::start(command.args(more)).await
}

// === impl Stage ===

impl Stage {
    pub async fn start() -> Self {
        let sim = Sim::start(SimConfig {
            adapters: Kind::ADAPTERS.map(str::to_owned).into(),
            ..SimConfig::default()
        });
        let sim = sim.await.unwrap();
        let (mut pods, mut envoys, mut syncers, mut ports) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            pods.push(Pod::start(Behaviour::Page(CALM.into())).await.unwrap());
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
        let watch = Watch::start(Targets {
            syncers: syncers.iter().map(Syncer::address).collect(),
            envoys: envoys.iter().map(Envoy::stats_listener).collect(),
            sidecars: vec![sidecar.address()],
        });
        Self {
            watch: watch.await,
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

    /// From now on this is sent, and nothing else.
    pub async fn send(&mut self, kinds: &[Kind]) {
        let envoys: Vec<_> = self.envoys.iter().map(Envoy::listener).collect();
        self.traffic = traffic::send(kinds, &envoys);
    }

    pub fn write_targets(&self) {
        let new = self.targets_file.with_extension("new");
        std::fs::write(&new, &self.targets).unwrap();
        std::fs::rename(new, &self.targets_file).unwrap();
    }

    /// The filter in the first Envoy dies, and comes back with a request that follows.
    pub async fn trap_the_filter(&self) {
        let envoy = self.envoys[0].listener();
        let status = async |headers: &[_], body| -> Result<u16> {
            let request = request("POST", COMPLETIONS, headers, body);
            Ok(exchange(envoy, &request, usize::MAX).await?.response.status)
        };
        assert_eq!(status(&[("x-infertally-trap", "1")], b"{}").await.unwrap(), 503);
        let back = eventually(async || match status(&[], PROMPT).await? {
            200 => Ok(()),
            status => Err(format!("status {status}").into()),
        });
        back.await.unwrap();
    }

    /// The second Envoy comes back where it was, with a mistake in its configuration.
    pub async fn restart_envoy_without_a_tag(&mut self) {
        let envoy = self.envoys.pop().unwrap();
        let ports = envoy.ports();
        drop(envoy);
        let envoy = Envoy::start_on(&binaries(), ports, 1, |config| few_models(config)?.replace(TAG, "")).await;
        self.envoys.push(envoy.unwrap());
    }

    /// The second replica comes back where it was. Gives the address of the Envoy.
    pub async fn restart_syncer_with_an_envoy_that_is_not_there(&mut self) -> SocketAddr {
        let port = Port::reserve().unwrap();
        let nobody = port.address();
        self.ports.push(port);
        let syncer = self.syncers.pop().unwrap();
        let address = syncer.address();
        syncer.terminate().await.unwrap();
        let (file, envoy) = (self.targets_file.display().to_string(), format!("http://{nobody}"));
        let syncer = start_syncer(address, &["--targets-file", &file, "--envoy", &envoy]).await;
        self.syncers.push(syncer.unwrap());
        nobody
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.targets_file);
    }
}
