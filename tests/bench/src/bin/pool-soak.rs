//! The syncer among pods and Envoys that come, go, lie and hang.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use infertally_harness::Result;
use infertally_harness::soak::soak;

/// The syncer among pods and Envoys that come, go, lie and hang: fails if a gauge is wrong, a page is missing, or memory
/// grows.
#[derive(Parser)]
struct Args {
    /// The syncer.
    #[arg(long)]
    syncer: PathBuf,
    /// For how long.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    println!("{}", soak(&args.syncer, Duration::from_secs(args.seconds)).await?);
    Ok(())
}
