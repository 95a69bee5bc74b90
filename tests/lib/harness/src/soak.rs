//! A time with pods and Envoys that come, go, lie and hang, and what must hold all the while and at its end.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::name;
use crate::page::{Load, full, small};
use crate::proc::Usage;
use crate::{Behaviour, Pod, Result, Syncer};

/// The stats page of a real Envoy with the filter.
const ENVOY_PAGE: &[u8] = include_bytes!("../../../fixtures/envoy-1.40.0/stats_prometheus.txt");
/// Pods that are always well.
const STEADY: usize = 20;
/// Pods that are not.
const UNSTEADY: usize = 80;
/// Envoys; the first is always well.
const ENVOYS: usize = 3;
/// Time between two changes, and between two looks.
const STEP: Duration = Duration::from_millis(100);
/// Memory that the last fifth of the time may have, at its least, beyond the least of the second fifth. An allocator keeps
/// some of what the largest pages took; a leak of a kilobyte a scrape is more than this after some minutes.
const GROWTH_BYTES: u64 = 24 << 20;

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Looks at `/metrics`, at each of which every steady pod's values were right.
    pub looks: u64,
    /// Changes of what a pod or an Envoy does.
    pub changes: u64,
    /// The longest that `/metrics` took.
    pub slowest: Duration,
    /// The oldest that a steady pod's values were.
    pub oldest: Duration,
    /// The least memory of the process in the second fifth of the time, and in the last.
    pub memory_bytes: [u64; 2],
    /// Its most.
    pub most_memory_bytes: u64,
    /// Its open files at the beginning, and at the end.
    pub files: [usize; 2],
}

/// The world around the syncer.
struct World {
    pods: Vec<Option<Pod>>,
    ports: Vec<u16>,
    envoys: Vec<Pod>,
    targets_file: PathBuf,
    random: Random,
    full: bytes::Bytes,
}

/// Numbers that are the same in each run: a run that fails can be repeated.
struct Random(u64);

/// Runs the syncer for a time among unsteady pods and Envoys.
///
/// # Errors
/// What did not hold: a steady pod's value that was wrong or missing, a page that came late, memory or files that grew,
/// or an end at which not everything is as it was.
pub async fn soak(binary: &Path, time: Duration) -> Result<Seen> {
    let mut world = World::start().await?;
    let targets_file = world.targets_file.display().to_string();
    let envoys: Vec<_> = world
        .envoys
        .iter()
        .map(|envoy| format!("http://127.0.0.1:{}", envoy.port()))
        .collect();
    let mut arguments = vec!["--targets-file", &targets_file, "--stale-after", "10s"];
    for envoy in &envoys {
        arguments.extend(["--envoy", envoy]);
    }
    let syncer = Syncer::pool(binary, &arguments).await?;
    let all = format!("inference_pool_ready_pods{{name=\"default\"}} {}", STEADY + UNSTEADY);
    syncer.shows(&[&all], &[]).await?;

    let began = Instant::now();
    let usage = || Usage::of(syncer.id());
    let mut seen = Seen {
        looks: 0,
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
        let asked = Instant::now();
        let page = syncer.metrics().await?;
        seen.slowest = seen.slowest.max(asked.elapsed());
        seen.oldest = seen.oldest.max(check(&page)?);
        seen.looks += 1;
        let memory = usage()?.resident_bytes;
        seen.most_memory_bytes = seen.most_memory_bytes.max(memory);
        match (began.elapsed() * 5).div_duration_f64(time) {
            1.0..2.0 => seen.memory_bytes[0] = seen.memory_bytes[0].min(memory),
            4.0.. => seen.memory_bytes[1] = seen.memory_bytes[1].min(memory),
            _ => {}
        }
        tokio::time::sleep(STEP.saturating_sub(asked.elapsed())).await;
    }

    world.mend().await?;
    let lines: Vec<_> = (0..STEADY + UNSTEADY).map(queue_line).chain([all]).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let page = syncer.shows(&lines, &[]).await?;
    let totals = page
        .lines()
        .filter(|line| line.starts_with("inference_model_request_total{"))
        .count();
    if totals == 0 || totals % ENVOYS != 0 {
        return Err(format!("{totals} series of {ENVOYS} Envoys with the same page").into());
    }
    seen.files[1] = usage()?.files;
    let [early, late] = seen.memory_bytes;
    if late > early.saturating_add(GROWTH_BYTES) {
        return Err(format!("its memory grew: {seen}").into());
    }
    if !syncer.end().await?.success() {
        return Err("it did not end well".into());
    }
    Ok(seen)
}

/// Every steady pod must be there with its values; gives the age of the oldest.
fn check(page: &str) -> Result<Duration> {
    for index in 0..STEADY {
        let line = queue_line(index);
        if !page.lines().any(|found| found == line) {
            let pool = page
                .lines()
                .filter(|line| line.starts_with("inference_pool_") && !line.contains("pod-0"));
            let pool: Vec<_> = pool.collect();
            return Err(format!("a steady pod lacks {line} in\n{}", pool.join("\n")).into());
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
            let pod = Pod::start(Behaviour::Page(full(load(index))?)).await?;
            ports.push(pod.port());
            pods.push(Some(pod));
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
        world.tell(|_| true)?;
        Ok(world)
    }

    /// One change of the unsteady.
    async fn change(&mut self) -> Result<()> {
        let index = STEADY + self.random.below(UNSTEADY);
        match self.random.below(16) {
            // A pod goes, or comes back.
            0..4 => {
                let port = self.ports.get(index).copied().unwrap_or_default();
                if let Some(pod) = self.pods.get_mut(index) {
                    *pod = match pod.take() {
                        Some(_) => None,
                        // A port may be somebody else's by now: then it stays away.
                        None => Pod::start_at(port, Behaviour::Page(self.full.clone())).await.ok(),
                    };
                }
            }
            // The source tells other targets; the steady are always among them.
            4 => {
                let (modulus, rest) = (2 + self.random.below(7), self.random.below(2));
                self.tell(|index| index < STEADY || index % modulus != rest)?;
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

    /// Everything is well again.
    async fn mend(&mut self) -> Result<()> {
        for (index, (pod, port)) in self.pods.iter_mut().zip(&mut self.ports).enumerate() {
            let well = Behaviour::Page(full(load(index))?);
            match pod {
                Some(pod) => pod.set(well),
                None => {
                    let new = Pod::start(well).await?;
                    *port = new.port();
                    *pod = Some(new);
                }
            }
        }
        for envoy in &self.envoys {
            envoy.set(Behaviour::Page(ENVOY_PAGE.into()));
        }
        self.tell(|_| true)
    }

    /// Writes those targets in place, whole.
    fn tell(&self, chosen: impl Fn(usize) -> bool) -> Result<()> {
        let lines = self.ports.iter().enumerate().filter(|(index, _)| chosen(*index));
        let text: String = lines
            .map(|(index, port)| format!("{}=http://127.0.0.1:{port}\n", name(index)))
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
            looks,
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
            "{changes} changes, {looks} looks at /metrics, the slowest {slowest:.1?}; steady pods at most {oldest:.1?} old; memory \
             {:.1} MB early, {:.1} MB late, {:.1} MB at most; {first} files, then {last}",
            megabytes(early),
            megabytes(late),
            megabytes(most_memory_bytes),
        )
    }
}
