//! A scenario for the syncer: pods and Envoys restart, hang, and serve broken pages, while the values of healthy pods must
//! stay right and its memory and files bounded. It runs for seconds as a test, and for hours as `pool-soak`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::name;
use crate::page::{Load, full, small};
use crate::ports::Port;
use crate::proc::Usage;
use crate::{Behaviour, Pod, Result, Syncer, eventually};

/// The stats page of a real Envoy with the filter.
const ENVOY_PAGE: &[u8] = include_bytes!("../../../fixtures/envoy-1.40.0/stats_prometheus.txt");
/// Pods that are always healthy.
const STEADY: usize = 20;
/// Pods that restart and misbehave.
const UNSTEADY: usize = 80;
/// Envoys; the first is always healthy.
const ENVOYS: usize = 3;
/// Time between two scrapes, with a change before each.
const STEP: Duration = Duration::from_millis(100);
/// Limit of the growth from the least memory in the second fifth of the time to the least in the last. An allocator keeps
/// some of what the largest pages took; a leak of a kilobyte per scrape exceeds this after some minutes.
const GROWTH_BYTES: u64 = 24 << 20;

/// The figures of a run.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Scrapes of `/metrics`; in each every steady pod's values were right.
    pub scrapes: u64,
    /// Changes of a pod, an Envoy or the targets file.
    pub changes: u64,
    /// The longest scrape.
    pub slowest: Duration,
    /// The greatest age of a steady pod's values.
    pub oldest: Duration,
    /// The least memory of the syncer in the second fifth of the time, and in the last.
    pub memory_bytes: [u64; 2],
    /// Its greatest memory.
    pub most_memory_bytes: u64,
    /// Its open files at the start and at the end.
    pub files: [usize; 2],
}

/// What the syncer scrapes.
struct World {
    /// `None` while a pod is gone.
    pods: Vec<Option<Pod>>,
    /// Of the pods; reserved, so that a pod that is gone can't be another test's server.
    ports: Vec<Port>,
    envoys: Vec<Pod>,
    targets_file: PathBuf,
    random: Random,
    full: bytes::Bytes,
}

/// Random numbers, the same in every run, so that a failed run can be repeated.
struct Random(u64);

/// Runs the scenario for a time.
///
/// # Errors
/// If a steady pod's value is wrong or missing, memory grows, or the pool does not recover at the end.
pub async fn soak(binary: &Path, time: Duration) -> Result<Seen> {
    let mut world = World::start().await?;
    let targets_file = world.targets_file.display().to_string();
    let envoys: Vec<_> = world
        .envoys
        .iter()
        .map(|envoy| format!("http://127.0.0.1:{}", envoy.port()))
        .collect();
    let mut arguments = vec![
        "--targets-file",
        &targets_file,
        "--stale-after",
        "10s",
        "--envoy-interval",
        "1s",
    ];
    for envoy in &envoys {
        arguments.extend(["--envoy", envoy]);
    }
    let syncer = Syncer::pool(binary, &arguments).await?;
    let all = format!("inference_pool_ready_pods{{name=\"default\"}} {}", STEADY + UNSTEADY);
    syncer.shows(&[&all], &[]).await?;

    let began = Instant::now();
    let usage = || Usage::of(syncer.id());
    let mut seen = Seen {
        scrapes: 0,
        changes: 0,
        slowest: Duration::ZERO,
        oldest: Duration::ZERO,
        memory_bytes: [u64::MAX; 2],
        most_memory_bytes: 0,
        files: [usage()?.files; 2],
    };
    while began.elapsed() < time {
        world.change().await?;
        seen.changes += 1;
        let started = Instant::now();
        let page = syncer.metrics().await?;
        seen.slowest = seen.slowest.max(started.elapsed());
        seen.oldest = seen.oldest.max(check(&page)?);
        seen.scrapes += 1;
        let memory = usage()?.resident_bytes;
        seen.most_memory_bytes = seen.most_memory_bytes.max(memory);
        match (began.elapsed() * 5).div_duration_f64(time) {
            1.0..2.0 => seen.memory_bytes[0] = seen.memory_bytes[0].min(memory),
            4.0.. => seen.memory_bytes[1] = seen.memory_bytes[1].min(memory),
            _ => {}
        }
        tokio::time::sleep(STEP.saturating_sub(started.elapsed())).await;
    }

    world.recover().await?;
    let lines: Vec<_> = (0..STEADY + UNSTEADY).map(queue_line).chain([all]).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    syncer.shows(&lines, &[]).await?;
    eventually(|| async {
        let page = syncer.metrics().await?;
        let totals = page
            .lines()
            .filter(|line| line.starts_with("inference_model_request_total{"))
            .count();
        if totals == 0 || totals % ENVOYS != 0 {
            return Err(format!("{totals} series of {ENVOYS} Envoys with the same page").into());
        }
        Ok(())
    })
    .await?;
    seen.files[1] = usage()?.files;
    let [early, late] = seen.memory_bytes;
    if late > early.saturating_add(GROWTH_BYTES) {
        return Err(format!("the syncer's memory grew: {seen}").into());
    }
    let status = syncer.terminate().await?;
    if !status.success() {
        return Err(format!("the syncer exited: {status}").into());
    }
    Ok(seen)
}

/// Checks every steady pod's values, and returns the greatest age.
fn check(page: &str) -> Result<Duration> {
    for index in 0..STEADY {
        let line = queue_line(index);
        if !page.lines().any(|found| found == line) {
            let pool = page
                .lines()
                .filter(|line| line.starts_with("inference_pool_") && !line.contains("pod-0"));
            let pool: Vec<_> = pool.collect();
            return Err(format!("a steady pod's {line} is missing in\n{}", pool.join("\n")).into());
        }
    }
    let ages = page.lines().filter_map(|line| {
        let rest =
            line.strip_prefix("inference_pool_last_scrape_age_seconds{name=\"default\",model_server_pod=\"pod-")?;
        let (number, age) = rest.split_once("\"} ")?;
        (number.parse::<usize>().ok()? < STEADY).then(|| age.parse().ok().map(Duration::from_secs_f64))?
    });
    ages.max().ok_or_else(|| "no ages".into())
}

fn queue_line(index: usize) -> String {
    let pod = name(index);
    format!("inference_pool_per_pod_queue_size{{name=\"default\",model_server_pod=\"{pod}\"}} {index}")
}

fn load(index: usize) -> Load {
    Load {
        waiting: index as f64,
        running: 1.0,
        kv_cache: 0.5,
    }
}

// === impl World ===

impl World {
    async fn start() -> Result<Self> {
        let (mut pods, mut ports, mut envoys) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..STEADY + UNSTEADY {
            let port = Port::reserve()?;
            pods.push(Some(Pod::start_on(&port, Behaviour::Page(full(load(index))?)).await?));
            ports.push(port);
        }
        for _ in 0..ENVOYS {
            envoys.push(Pod::start(Behaviour::Page(ENVOY_PAGE.into())).await?);
        }
        let targets_file = std::env::temp_dir().join(format!("infertally-soak-{}", std::process::id()));
        let world = Self {
            pods,
            ports,
            envoys,
            targets_file,
            random: Random(0x9E37_79B9_7F4A_7C15),
            full: full(load(1))?,
        };
        world.write_targets(|_| true)?;
        Ok(world)
    }

    /// Makes one random change.
    async fn change(&mut self) -> Result<()> {
        let index = STEADY + self.random.below(UNSTEADY);
        match self.random.below(16) {
            // A pod stops, or starts again.
            0..4 => {
                if let (Some(pod), Some(port)) = (self.pods.get_mut(index), self.ports.get(index)) {
                    *pod = match pod.take() {
                        Some(_) => None,
                        // Connections to the pod before may still be closing; then it stays away.
                        None => Pod::start_on(port, Behaviour::Page(self.full.clone())).await.ok(),
                    };
                }
            }
            // Other targets; the steady ones are always among them.
            4 => {
                let (modulus, rest) = (2 + self.random.below(7), self.random.below(2));
                self.write_targets(|index| index < STEADY || index % modulus != rest)?;
            }
            5 => std::fs::write(&self.targets_file, "half a li")?,
            6..8 => {
                let behaviour = self.behaviour();
                let index = 1 + self.random.below(ENVOYS - 1);
                if let Some(envoy) = self.envoys.get(index) {
                    envoy.set(behaviour);
                }
            }
            _ => {
                let behaviour = self.behaviour();
                if let Some(Some(pod)) = self.pods.get(index) {
                    pod.set(behaviour);
                }
            }
        }
        Ok(())
    }

    fn behaviour(&mut self) -> Behaviour {
        match self.random.below(12) {
            0 => Behaviour::Hang,
            1 => Behaviour::Drip,
            2 => Behaviour::Cut(self.full.clone()),
            3 => Behaviour::Status(503),
            4 => Behaviour::Page("vllm:num_requests_waiting{\n".into()),
            5 => Behaviour::Page(vec![0xff; 100_000].into()),
            6 => Behaviour::Endless(32 << 20),
            7 => Behaviour::Late(self.full.clone(), Duration::from_millis(700)),
            8 => Behaviour::Page(small(load(7))),
            9 => Behaviour::Page(ENVOY_PAGE.into()),
            _ => Behaviour::Page(self.full.clone()),
        }
    }

    /// Makes everything healthy again.
    async fn recover(&mut self) -> Result<()> {
        for (index, (pod, port)) in self.pods.iter_mut().zip(&self.ports).enumerate() {
            let healthy = Behaviour::Page(full(load(index))?);
            match pod {
                Some(pod) => pod.set(healthy),
                None => *pod = Some(Pod::start_on(port, healthy).await?),
            }
        }
        for envoy in &self.envoys {
            envoy.set(Behaviour::Page(ENVOY_PAGE.into()));
        }
        self.write_targets(|_| true)
    }

    /// Replaces the targets file.
    fn write_targets(&self, chosen: impl Fn(usize) -> bool) -> Result<()> {
        let lines = self.ports.iter().enumerate().filter(|(index, _)| chosen(*index));
        let text: String = lines
            .map(|(index, port)| format!("{}=http://{}\n", name(index), port.address()))
            .collect();
        let new = self.targets_file.with_extension("new");
        std::fs::write(&new, text)?;
        Ok(std::fs::rename(new, &self.targets_file)?)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.targets_file);
    }
}

// === impl Random ===

impl Random {
    /// Xorshift.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }
}

// === impl Seen ===

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scrapes,
            changes,
            slowest,
            oldest,
            memory_bytes: [early, late],
            most_memory_bytes,
            files: [first, last],
        } = self;
        let megabytes = |bytes: &u64| *bytes as f64 / 1e6;
        write!(
            f,
            "{changes} changes, {scrapes} scrapes, the slowest {slowest:.1?}; steady pods' values up to {oldest:.1?} old; memory \
             {:.1} MB early, {:.1} MB late, up to {:.1} MB; {first} files at the start, {last} at the end",
            megabytes(early),
            megabytes(late),
            megabytes(most_memory_bytes),
        )
    }
}
