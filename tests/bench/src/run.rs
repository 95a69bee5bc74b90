//! Runs the measurement: starts all Envoys, then in each round sends a slice of every workload through one after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use infertally_harness::Result;
use infertally_harness::envoy::{Binaries, Envoy};

use crate::check::check;
use crate::client::Client;
use crate::cost::{cpu_ns, resident_bytes};
use crate::upstream;
use crate::variant::Variant;
use crate::workload::Workload;

/// Envoy's worker threads: one, so that the cost of a request does not depend on its worker.
const WORKERS: u64 = 1;
/// The time that Envoy needs to finish an exchange after its client has the last byte.
const SETTLE: Duration = Duration::from_millis(3);

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Envoy binary.
    pub envoy: PathBuf,
    /// `infertally.wasm`.
    pub wasm: PathBuf,
    /// A Wasm filter that does nothing, for one more comparison.
    pub noop: Option<PathBuf>,
    /// Other builds of the filter, for one more comparison each: what a change gains shows only in one run.
    pub other: Vec<PathBuf>,
    /// The names of the workloads to run; empty means all.
    pub only: Vec<String>,
    /// Slices per workload and Envoy.
    pub rounds: usize,
    /// The size of a slice, in percent of the usual number of requests.
    pub percent: usize,
}

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The Envoys that were compared; the first has no filter.
    pub variants: Vec<Variant>,
    /// Resident memory at the end, in bytes, by variant.
    pub resident_bytes: Vec<u64>,
    /// One for each workload.
    pub workloads: Vec<WorkloadFigures>,
}

/// The figures of one workload.
#[derive(Clone, Debug)]
pub struct WorkloadFigures {
    /// The workload.
    pub workload: Workload,
    /// By variant.
    pub variants: Vec<Slices>,
}

/// The figures of one workload through one Envoy, by round.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    /// Envoy's CPU time per request, in microseconds.
    pub cpu_us: Vec<f64>,
    /// The median latency, in microseconds.
    pub p50_us: Vec<f64>,
}

/// A running Envoy and its clients.
#[derive(Debug)]
struct Instance {
    variant: Variant,
    envoy: Envoy,
    clients: Vec<Client>,
    /// Requests by workload.
    sent: Vec<u64>,
}

/// Runs the measurement.
///
/// # Errors
/// If an Envoy does not start or respond, or did not count what was sent.
pub async fn run(options: &Options) -> Result<Figures> {
    let workloads: Vec<_> = Workload::all(options.percent)
        .into_iter()
        .filter(|workload| options.only.is_empty() || options.only.iter().any(|name| name == workload.name))
        .collect();
    if workloads.is_empty() {
        return Err(format!("unknown workload {}", options.only.join(", ")).into());
    }
    let upstream = upstream::start(
        workloads
            .iter()
            .map(|workload| (workload.name, workload.response.clone()))
            .collect(),
    )?;
    let binaries = Binaries {
        envoy: options.envoy.clone(),
        wasm: options.wasm.clone(),
    };
    let variants = [Variant::Plain]
        .into_iter()
        .chain(options.noop.clone().map(Variant::Noop))
        .chain([Variant::Infertally])
        .chain(options.other.iter().cloned().map(Variant::OtherBuild))
        .chain([Variant::Cpp]);
    let mut instances = Vec::new();
    for variant in variants {
        let wasm = binaries.wasm.display().to_string();
        let change = |config| variant.configure(config, &wasm);
        let envoy = Envoy::start(&binaries, upstream, WORKERS, change).await?;
        let busiest = workloads.iter().map(|workload| workload.connections).max();
        let clients: Result<Vec<_>> = (0..busiest.unwrap_or(1))
            .map(|_| Client::connect(envoy.listener()))
            .collect();
        instances.push(Instance {
            variant,
            envoy,
            clients: clients?,
            sent: vec![0; workloads.len()],
        });
    }

    // On a blocking thread, because the clients block.
    let shared = Arc::new(workloads);
    let (workloads, rounds) = (Arc::clone(&shared), options.rounds);
    let (instances, figures) = tokio::task::spawn_blocking(move || {
        let figures = measure(&mut instances, &workloads, rounds)?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((instances, figures))
    })
    .await??;

    let workloads = shared;
    let mut memory = Vec::new();
    for instance in &instances {
        memory.push(resident_bytes(instance.envoy.process_id())?);
        let sent: Vec<_> = workloads.iter().zip(instance.sent.iter().copied()).collect();
        check(&instance.variant, &instance.envoy, &sent).await?;
    }
    Ok(Figures {
        variants: instances.into_iter().map(|instance| instance.variant).collect(),
        resident_bytes: memory,
        workloads: figures,
    })
}

fn measure(instances: &mut [Instance], workloads: &[Workload], rounds: usize) -> Result<Vec<WorkloadFigures>> {
    let mut figures = Vec::new();
    for (index, workload) in workloads.iter().enumerate() {
        for instance in &mut *instances {
            instance.warm_up(index, workload)?;
        }
        let mut slices = vec![Slices::default(); instances.len()];
        for round in 0..rounds {
            // A different Envoy goes first in each round.
            let first = round % instances.len().max(1);
            let mut turns: Vec<_> = instances.iter_mut().zip(&mut slices).collect();
            turns.rotate_left(first);
            for (instance, slices) in turns {
                let (cpu_us, p50_us) = instance.slice(index, workload)?;
                slices.cpu_us.push(cpu_us);
                slices.p50_us.push(p50_us);
            }
        }
        figures.push(WorkloadFigures {
            workload: workload.clone(),
            variants: slices,
        });
    }
    Ok(figures)
}

// === impl Instance ===

impl Instance {
    /// Sends one request whose response is checked, and a slice whose time is not recorded.
    fn warm_up(&mut self, index: usize, workload: &Workload) -> Result<()> {
        let client = self.clients.first_mut().ok_or("no client")?;
        let response = client.response(&workload.request)?;
        if response.status != 200 || response.body != workload.response.body {
            return Err(format!(
                "{}: {}: status {}, {} of {} bytes\n{}",
                self.variant.title(),
                workload.title,
                response.status,
                response.body.len(),
                workload.response.body.len(),
                self.envoy.log()
            )
            .into());
        }
        self.count(index, 1);
        self.slice(index, workload).map(|_| ())
    }

    /// Returns the CPU time per request and the median latency, in microseconds.
    fn slice(&mut self, index: usize, workload: &Workload) -> Result<(f64, f64)> {
        let process = self.envoy.process_id();
        std::thread::sleep(SETTLE);
        let before = cpu_ns(process)?;
        let mut latencies = Vec::new();
        let clients = self.clients.iter_mut().take(workload.connections);
        std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .map(|client| scope.spawn(move || send_all(client, workload)))
                .collect();
            for thread in threads {
                latencies.extend(thread.join().map_err(|_| "a client's thread panicked")??);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        })
        .map_err(|error| {
            format!(
                "{}: {}: {error}\n{}",
                self.variant.title(),
                workload.title,
                self.envoy.log()
            )
        })?;
        std::thread::sleep(SETTLE);
        let cpu = cpu_ns(process)?.saturating_sub(before);
        self.count(index, workload.slice());
        latencies.sort();
        let p50 = latencies.get(latencies.len() / 2).ok_or("the slice is empty")?;
        Ok((cpu as f64 / 1e3 / workload.slice() as f64, p50.as_secs_f64() * 1e6))
    }

    fn count(&mut self, index: usize, requests: u64) {
        if let Some(sent) = self.sent.get_mut(index) {
            *sent += requests;
        }
    }
}

fn send_all(client: &mut Client, workload: &Workload) -> Result<Vec<Duration>> {
    (0..workload.requests)
        .map(|_| client.exchange(&workload.request))
        .collect()
}
