//! `make demo`: see `infertally_e2e::demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use infertally_e2e::demo::{Options, run};

/// A real Envoy with the filter, simulated model servers and traffic; prints the metrics that come out
#[derive(Debug, Parser)]
struct Arguments {
    /// End by itself; fail unless every metric equals what was sent
    #[arg(long)]
    once: bool,
    /// The filter
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// The Envoy binary
    #[arg(long, value_name = "FILE")]
    envoy: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { once, wasm, envoy } = Arguments::parse();
    match run(Options { once, envoy, wasm }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}
