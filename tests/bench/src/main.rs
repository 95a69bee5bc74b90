//! Measures what the filter costs and prints it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use infertally_bench::report::tables;
use infertally_bench::run::{Options, run};

/// What the filter costs, beside Envoy without it and beside Envoy's own C++ filters.
#[derive(Debug, Parser)]
struct Arguments {
    /// Envoy.
    #[arg(long)]
    envoy: PathBuf,
    /// The filter.
    #[arg(long)]
    wasm: PathBuf,
    /// A Wasm filter that does nothing.
    #[arg(long)]
    noop: Option<PathBuf>,
    /// Another build of the filter, to compare with.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Only this workload: small, large, bulk or paced. May be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Slices of each workload through each Envoy.
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Two short rounds: shows that it works, measures nothing.
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
            println!("\nEvery Envoy did its work: all requests, bytes and tokens that were sent are in its counts.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: no figures: {error}");
            ExitCode::FAILURE
        }
    }
}
