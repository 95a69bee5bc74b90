//! The command-line program of the bench.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use infertally_bench::report::tables;
use infertally_bench::run::{Options, run};

/// Measure what the filter costs, compared with Envoy without it and with Envoy's own C++ filters
#[derive(Debug, Parser)]
struct Arguments {
    /// The Envoy binary
    #[arg(long, value_name = "FILE")]
    envoy: PathBuf,
    /// The filter
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// A Wasm filter that does nothing
    #[arg(long, value_name = "FILE")]
    noop: Option<PathBuf>,
    /// Another build of the filter to compare with; may be repeated
    #[arg(long, value_name = "FILE")]
    other: Vec<PathBuf>,
    /// Run only this workload: small, large, bulk or paced; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// Slices per workload and Envoy
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Run two short rounds to show that everything works; the figures mean nothing
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        envoy,
        wasm,
        noop,
        other,
        only,
        rounds,
        quick,
    } = Arguments::parse();
    let (rounds, percent) = if quick { (2, 10) } else { (rounds, 100) };
    let options = Options {
        envoy,
        wasm,
        noop,
        other,
        only,
        rounds,
        percent,
    };
    match run(&options).await {
        Ok(figures) => {
            print!("{}", tables(&figures));
            println!("\nEvery Envoy counted all requests, bytes and tokens that were sent.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
