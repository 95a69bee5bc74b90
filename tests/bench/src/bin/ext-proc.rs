//! The `ext_proc` server that the filter is compared with; the bench starts it.

use clap::Parser;
use infertally_bench::{Result, ext_proc};
use infertally_harness::envoy::loopback;

/// Serve Envoy's ext_proc protocol, and read requests and responses as the filter does
#[derive(Parser)]
struct Args {
    /// Port on loopback
    #[arg(long)]
    port: u16,
}

// One thread, as the Envoy that it is compared with has one worker.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    ext_proc::serve(loopback(Args::parse().port)).await
}
