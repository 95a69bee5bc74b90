//! Measures the syncer as the pool grows: CPU and memory of its process, and the latency of `/metrics` meanwhile.
//! Run it with `scripts/bench.sh syncer-scale`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use infertally_harness::page::{Load, full};
use infertally_harness::proc::Usage;
use infertally_harness::{Fleet, Result, Syncer};
use tokio::time::Instant;

/// Measure the syncer as the pool grows: CPU, memory, and latency of /metrics
#[derive(Parser)]
struct Args {
    /// The syncer's binary
    #[arg(long, value_name = "FILE")]
    syncer: PathBuf,
    /// Pool sizes to measure; each pod is scraped once per second
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    pods: Vec<usize>,
    /// Duration of each measurement
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Interval between two requests of /metrics.
const SCRAPE_INTERVAL: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let args = Args::parse();
    println!(
        "{:>6} {:>10} {:>9} {:>10} {:>12} {:>12} {:>10} {:>9}",
        "pods", "scrapes/s", "CPU %", "RSS, MB", "p50, ms", "p99, ms", "max, ms", "page, KB"
    );
    for pods in args.pods {
        measure(&args.syncer, pods, Duration::from_secs(args.seconds)).await?;
    }
    Ok(())
}

async fn measure(binary: &Path, pods: usize, duration: Duration) -> Result<()> {
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

    let scrapes = || fleet.pods.iter().map(infertally_harness::Pod::served).sum::<u64>();
    let (before, start, scrapes_before) = (Usage::of(syncer.id())?, Instant::now(), scrapes());
    let (mut latencies, mut page_bytes) = (Vec::new(), 0);
    while start.elapsed() < duration {
        let sent = Instant::now();
        page_bytes = syncer.metrics().await?.len();
        latencies.push(sent.elapsed());
        tokio::time::sleep(SCRAPE_INTERVAL.saturating_sub(sent.elapsed())).await;
    }
    let (after, elapsed, scrapes) = (Usage::of(syncer.id())?, start.elapsed(), scrapes() - scrapes_before);
    latencies.sort();
    let quantile = |q: f64| -> f64 {
        let index = (latencies.len() as f64 * q) as usize;
        latencies
            .get(index.min(latencies.len().saturating_sub(1)))
            .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    };
    println!(
        "{pods:>6} {:>10.0} {:>9.1} {:>10.1} {:>12.1} {:>12.1} {:>10.1} {:>9}",
        scrapes as f64 / elapsed.as_secs_f64(),
        (after.cpu - before.cpu).as_secs_f64() / elapsed.as_secs_f64() * 100.0,
        after.resident_bytes as f64 / 1e6,
        quantile(0.5),
        quantile(0.99),
        quantile(1.0),
        page_bytes / 1000,
    );
    std::fs::remove_file(&file)?;
    Ok(())
}
