//! The run: all Envoys at once, and in each round a slice of every workload through one after the other.

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

/// Envoy's worker threads: one, so that what a request costs does not depend on where it goes.
const WORKERS: u64 = 1;
/// What Envoy still has to do when its client has the last byte takes no longer.
const SETTLE: Duration = Duration::from_millis(3);

/// What is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Envoy.
    pub envoy: PathBuf,
    /// `infertally.wasm`.
    pub wasm: PathBuf,
    /// A Wasm filter that does nothing, for one more comparison.
    pub noop: Option<PathBuf>,
    /// Another build of the filter, for one more comparison.
    pub other: Option<PathBuf>,
    /// The only workloads, by name; none means all.
    pub only: Vec<String>,
    /// How many slices of each workload go through each Envoy.
    pub rounds: usize,
    /// How many hundredths of the usual number of requests a slice has.
    pub percent: usize,
}

/// All figures.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The Envoys that were compared; the first is the one without a filter.
    pub variants: Vec<Variant>,
    /// What each of them held at the end, bytes.
    pub resident_bytes: Vec<u64>,
    /// By workload.
    pub workloads: Vec<WorkloadFigures>,
}

/// The figures of one workload.
#[derive(Clone, Debug)]
pub struct WorkloadFigures {
    /// What was sent.
    pub workload: Workload,
    /// By variant.
    pub variants: Vec<Slices>,
}

/// The figures of one workload through one Envoy, by round.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    /// Envoy's CPU time a request, microseconds.
    pub cpu_us: Vec<f64>,
    /// Half of the answers came in this time, microseconds.
    pub p50_us: Vec<f64>,
}

#[derive(Debug)]
struct Side {
    variant: Variant,
    envoy: Envoy,
    clients: Vec<Client>,
    /// By workload.
    sent: Vec<u64>,
}

/// Runs it.
///
/// # Errors
/// If something does not start or answer, or an Envoy did not do what it is measured for.
pub async fn run(options: &Options) -> Result<Figures> {
    let workloads: Vec<_> = Workload::all(options.percent)
        .into_iter()
        .filter(|workload| options.only.is_empty() || options.only.iter().any(|name| name == workload.name))
        .collect();
    if workloads.is_empty() {
        return Err(format!("no such workload: {}", options.only.join(", ")).into());
    }
    let upstream = upstream::start(
        workloads
            .iter()
            .map(|workload| (workload.name, workload.answer.clone()))
            .collect(),
    )?;
    let binaries = Binaries {
        envoy: options.envoy.clone(),
        wasm: options.wasm.clone(),
    };
    let variants = [
        Some(Variant::Plain),
        options.noop.clone().map(Variant::Noop),
        Some(Variant::Infertally),
        options.other.clone().map(Variant::OtherBuild),
        Some(Variant::Cpp),
    ];
    let mut sides = Vec::new();
    for variant in variants.into_iter().flatten() {
        let wasm = binaries.wasm.display().to_string();
        let change = |config| variant.configure(config, &wasm);
        let envoy = Envoy::start(&binaries, upstream, WORKERS, change).await?;
        let busiest = workloads.iter().map(|workload| workload.connections).max();
        let clients: Result<Vec<_>> = (0..busiest.unwrap_or(1))
            .map(|_| Client::connect(envoy.listener()))
            .collect();
        sides.push(Side {
            variant,
            envoy,
            clients: clients?,
            sent: vec![0; workloads.len()],
        });
    }

    // Away from the runtime, whose threads are not for what blocks.
    let shared = Arc::new(workloads);
    let (workloads, rounds) = (Arc::clone(&shared), options.rounds);
    let (sides, figures) = tokio::task::spawn_blocking(move || {
        let figures = measure(&mut sides, &workloads, rounds)?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((sides, figures))
    })
    .await??;

    let workloads = shared;
    let mut memory = Vec::new();
    for side in &sides {
        memory.push(resident_bytes(side.envoy.process_id())?);
        let sent: Vec<_> = workloads.iter().zip(side.sent.iter().copied()).collect();
        check(&side.variant, &side.envoy, &sent).await?;
    }
    Ok(Figures {
        variants: sides.into_iter().map(|side| side.variant).collect(),
        resident_bytes: memory,
        workloads: figures,
    })
}

fn measure(sides: &mut [Side], workloads: &[Workload], rounds: usize) -> Result<Vec<WorkloadFigures>> {
    let mut figures = Vec::new();
    for (index, workload) in workloads.iter().enumerate() {
        for side in &mut *sides {
            side.warm_up(index, workload)?;
        }
        let mut slices = vec![Slices::default(); sides.len()];
        for round in 0..rounds {
            // Another one goes first each time.
            let first = round % sides.len().max(1);
            let mut turns: Vec<_> = sides.iter_mut().zip(&mut slices).collect();
            turns.rotate_left(first);
            for (side, slices) in turns {
                let (cpu_us, p50_us) = side.slice(index, workload)?;
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

// === impl Side ===

impl Side {
    /// One answer that is looked at, and a slice that is not counted.
    fn warm_up(&mut self, index: usize, workload: &Workload) -> Result<()> {
        let client = self.clients.first_mut().ok_or("no client")?;
        let answer = client.answer(&workload.request)?;
        if answer.status != 200 || answer.body != workload.answer.body {
            return Err(format!(
                "{}: {}: status {}, {} bytes came of {}\n{}",
                self.variant.title(),
                workload.title,
                answer.status,
                answer.body.len(),
                workload.answer.body.len(),
                self.envoy.log()
            )
            .into());
        }
        self.count(index, 1);
        self.slice(index, workload).map(|_| ())
    }

    /// CPU time a request and the median latency, microseconds.
    fn slice(&mut self, index: usize, workload: &Workload) -> Result<(f64, f64)> {
        let process = self.envoy.process_id();
        std::thread::sleep(SETTLE);
        let before = cpu_ns(process)?;
        let mut took = Vec::new();
        let clients = self.clients.iter_mut().take(workload.connections);
        std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .map(|client| scope.spawn(move || send_all(client, workload)))
                .collect();
            for thread in threads {
                took.extend(thread.join().map_err(|_| "a client's thread panicked")??);
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
        took.sort();
        let p50 = took.get(took.len() / 2).ok_or("an empty slice")?;
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
