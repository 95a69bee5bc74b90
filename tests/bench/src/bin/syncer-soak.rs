//! Soaks the syncer: a pool and Envoys that appear, disappear, report invalid pages and hang.
//! Run it with `scripts/bench.sh syncer-soak`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use infertally_harness::Result;
use infertally_harness::soak::soak;

/// Soak the syncer with pods and Envoys that appear, disappear, report invalid pages and hang; fails if a gauge is wrong, a
/// scrape of the syncer fails, or its memory grows
#[derive(Parser)]
struct Args {
    /// The syncer's binary
    #[arg(long, value_name = "FILE")]
    syncer: PathBuf,
    /// Duration
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    println!("{}", soak(&args.syncer, Duration::from_secs(args.seconds)).await?);
    Ok(())
}
