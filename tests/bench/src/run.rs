//! Runs the measurement: starts all Envoys, then in each round sends a slice of every workload through one after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use infertally_harness::Result;
use infertally_harness::envoy::{Binaries, Envoy};

use crate::check::check;
use crate::client::Client;
use crate::cost::{cpu_ns, resident_bytes};
use crate::ext_proc::ExtProc;
use crate::held::{HeldStreams, allow, hold, workload as held};
use crate::stats_page::StatsPage;
use crate::upstream;
use crate::variant::Variant;
use crate::workload::Workload;

/// The time that Envoy needs to finish an exchange after its client has the last byte.
const SETTLE: Duration = Duration::from_millis(3);

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Envoy binary.
    pub envoy: PathBuf,
    /// `infertally.wasm`.
    pub wasm: PathBuf,
    /// The Envoys to compare. The first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// Envoy's worker threads. With one, the cost of a request does not depend on its worker.
    pub workers: u64,
    /// Slices per workload and Envoy.
    pub rounds: usize,
    /// Streams that are open in each Envoy during the measurement.
    pub held_streams: usize,
}

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The Envoys that were compared.
    pub variants: Vec<Variant>,
    /// Resident memory at the end, in bytes, by variant.
    pub resident_bytes: Vec<u64>,
    /// The time of a `GET /stats/prometheus` and its size, by variant.
    pub stats_pages: Vec<StatsPage>,
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
    /// The CPU time of Envoy, and of the `ext_proc` server if there is one, per request, in microseconds.
    pub cpu_us: Vec<f64>,
    /// The median latency, in microseconds.
    pub p50_us: Vec<f64>,
    /// The 99th percentile of the latency, in microseconds.
    pub p99_us: Vec<f64>,
}

/// The figures of one slice.
#[derive(Clone, Copy, Debug)]
struct Slice {
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
}

/// A running Envoy and its clients.
#[derive(Debug)]
struct Instance {
    variant: Variant,
    envoy: Envoy,
    ext_proc: Option<ExtProc>,
    #[expect(dead_code, reason = "the streams are open as long as this lives")]
    held: HeldStreams,
    clients: Vec<Client>,
    /// Requests by workload.
    sent: Vec<u64>,
}

/// Runs the measurement.
///
/// # Errors
/// If an Envoy does not start or respond, or did not count what was sent.
pub async fn run(options: &Options, workloads: Vec<Workload>) -> Result<Figures> {
    let held = held();
    let responses = workloads.iter().chain([&held]);
    let responses = responses.map(|workload| (workload.name.clone(), workload.response.clone()));
    let upstream = upstream::start(responses.collect())?;
    let binaries = Binaries {
        envoy: options.envoy.clone(),
        wasm: options.wasm.clone(),
    };
    let mut instances = Vec::new();
    for variant in options.variants.clone() {
        let wasm = binaries.wasm.display().to_string();
        let ext_proc = match &variant {
            Variant::ExtProc(program) => Some(ExtProc::start(program).await?),
            _ => None,
        };
        let change = |config| {
            let config = variant.configure(config, &wasm, ext_proc.as_ref().map(ExtProc::port))?;
            if options.held_streams > 0 {
                allow(config, options.held_streams)
            } else {
                Ok(config)
            }
        };
        let envoy = Envoy::start(&binaries, upstream, options.workers, change).await?;
        let busiest = workloads.iter().map(|workload| workload.connections).max();
        let clients: Result<Vec<_>> = (0..busiest.unwrap_or(1))
            .map(|_| Client::connect(envoy.listener()))
            .collect();
        instances.push(Instance {
            held: hold(envoy.listener(), options.held_streams).await?,
            ext_proc,
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
    let (mut memory, mut pages) = (Vec::new(), Vec::new());
    for instance in &instances {
        memory.push(resident_bytes(instance.envoy.process_id())?);
        let sent: Vec<_> = workloads.iter().zip(instance.sent.iter().copied()).collect();
        pages.push(StatsPage::measure(&instance.envoy).await?);
        check(&instance.variant, &instance.envoy, instance.ext_proc.as_ref(), &sent).await?;
    }
    Ok(Figures {
        variants: instances.into_iter().map(|instance| instance.variant).collect(),
        resident_bytes: memory,
        stats_pages: pages,
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
                let Slice { cpu_us, p50_us, p99_us } = instance.slice(index, workload)?;
                slices.cpu_us.push(cpu_us);
                slices.p50_us.push(p50_us);
                slices.p99_us.push(p99_us);
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
        let request = workload.requests.first().ok_or("no request")?;
        let response = client.response(request)?;
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

    /// The CPU time of all processes, in nanoseconds.
    fn cpu_ns(&self) -> Result<u64> {
        let server = self.ext_proc.as_ref().map(|server| cpu_ns(server.process_id()));
        Ok(cpu_ns(self.envoy.process_id())? + server.transpose()?.unwrap_or_default())
    }

    fn slice(&mut self, index: usize, workload: &Workload) -> Result<Slice> {
        std::thread::sleep(SETTLE);
        let before = self.cpu_ns()?;
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
        let cpu = self.cpu_ns()?.saturating_sub(before);
        self.count(index, workload.slice());
        latencies.sort();
        let percentile = |percent: usize| {
            let latency = latencies.get(latencies.len() * percent / 100);
            latency
                .map(|latency| latency.as_secs_f64() * 1e6)
                .ok_or("the slice is empty")
        };
        Ok(Slice {
            cpu_us: cpu as f64 / 1e3 / workload.slice() as f64,
            p50_us: percentile(50)?,
            p99_us: percentile(99)?,
        })
    }

    fn count(&mut self, index: usize, requests: u64) {
        if let Some(sent) = self.sent.get_mut(index) {
            *sent += requests;
        }
    }
}

fn send_all(client: &mut Client, workload: &Workload) -> Result<Vec<Duration>> {
    let requests = workload.requests.iter().cycle().take(workload.repeats);
    requests.map(|request| client.exchange(request)).collect()
}
