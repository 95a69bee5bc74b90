//! Measures how the filter's cost grows. Run it with `make bench-full`.

use std::path::PathBuf;

use clap::Parser;
use infertally_bench::Result;
use infertally_bench::growth::{Binaries, curves, svg};

/// Measure how the filter's cost grows with bodies, events, models, open streams and workers
#[derive(Parser)]
struct Args {
    /// The Envoy binary
    #[arg(long, value_name = "FILE")]
    envoy: PathBuf,
    /// The filter
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// Slices per point
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Write the curves to this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let Args {
        envoy,
        wasm,
        rounds,
        svg: file,
    } = Args::parse();
    let binaries = Binaries { envoy, wasm, rounds };
    let curves = curves(&binaries, |what| eprintln!("bench: {what}")).await?;
    for curve in &curves {
        print!("{}", curve.table());
    }
    if let Some(file) = file {
        std::fs::write(&file, svg(&curves)?)?;
        println!("\nWrote {}.", file.display());
    }
    Ok(())
}
