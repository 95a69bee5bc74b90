//! What the syncer costs as the pool grows: CPU and memory of its process, and how long `/metrics` takes meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use infertally_harness::page::{Load, full};
use infertally_harness::proc::Usage;
use infertally_harness::{Fleet, Result, Syncer};
use tokio::time::Instant;

/// What the syncer costs as the pool grows: CPU and memory of its process, and how long /metrics takes meanwhile.
#[derive(Parser)]
struct Args {
    /// The syncer.
    #[arg(long)]
    syncer: PathBuf,
    /// Numbers of pods; each is scraped once a second.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    pods: Vec<usize>,
    /// How long each is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Time between two reads of /metrics.
const READ_EVERY: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let args = Args::parse();
    println!(
        "{:>6} {:>10} {:>9} {:>10} {:>12} {:>12} {:>10} {:>9}",
        "pods", "scrapes/s", "CPU %", "RSS, MB", "p50, ms", "p99, ms", "most, ms", "page, KB"
    );
    for pods in args.pods {
        measure(&args.syncer, pods, Duration::from_secs(args.seconds)).await?;
    }
    Ok(())
}

async fn measure(binary: &Path, pods: usize, time: Duration) -> Result<()> {
    let page = full(Load {
        waiting: 3.0,
        running: 2.0,
        kv_cache: 0.5,
    })?;
    let fleet = Fleet::start(pods, |_| page.clone()).await?;
    let file = std::env::temp_dir().join(format!("infertally-scale-{}", std::process::id()));
    std::fs::write(&file, fleet.targets())?;
    let targets_file = file.display().to_string();
    let syncer = Syncer::pool(binary, &["--targets-file", &targets_file]).await?;
    syncer
        .shows(&[&format!("inference_pool_ready_pods{{name=\"default\"}} {pods}")], &[])
        .await?;

    let served = || fleet.pods.iter().map(infertally_harness::Pod::served).sum::<u64>();
    let (before, began, scrapes) = (Usage::of(syncer.id())?, Instant::now(), served());
    let (mut times, mut page_bytes) = (Vec::new(), 0);
    while began.elapsed() < time {
        let asked = Instant::now();
        page_bytes = syncer.metrics().await?.len();
        times.push(asked.elapsed());
        tokio::time::sleep(READ_EVERY.saturating_sub(asked.elapsed())).await;
    }
    let (after, passed, scrapes) = (Usage::of(syncer.id())?, began.elapsed(), served() - scrapes);
    times.sort();
    let at = |part: f64| -> f64 {
        let index = (times.len() as f64 * part) as usize;
        times
            .get(index.min(times.len().saturating_sub(1)))
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        "{pods:>6} {:>10.0} {:>9.1} {:>10.1} {:>12.1} {:>12.1} {:>10.1} {:>9}",
        scrapes as f64 / passed.as_secs_f64(),
        (after.cpu - before.cpu).as_secs_f64() / passed.as_secs_f64() * 100.0,
        after.resident_bytes as f64 / 1e6,
        at(0.5),
        at(0.99),
        at(1.0),
        page_bytes / 1000,
    );
    std::fs::remove_file(&file)?;
    Ok(())
}
