//! The command-line program of the bench.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use infertally_bench::Result;
use infertally_bench::goals::marks;
use infertally_bench::report::tables;
use infertally_bench::run::{Options, run};
use infertally_bench::variant::Variant;
use infertally_bench::workload::Workload;

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
    /// An ext_proc server to compare with
    #[arg(long, value_name = "FILE")]
    ext_proc: Option<PathBuf>,
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
    match measure(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: Arguments) -> Result<()> {
    let Arguments {
        envoy,
        wasm,
        noop,
        other,
        ext_proc,
        only,
        rounds,
        quick,
    } = arguments;
    let (rounds, percent) = if quick { (2, 10) } else { (rounds, 100) };
    let selected = |workload: &Workload| only.is_empty() || only.contains(&workload.name);
    let workloads: Vec<_> = Workload::all(percent).into_iter().filter(selected).collect();
    if workloads.is_empty() {
        return Err(format!("unknown workload {}", only.join(", ")).into());
    }
    let variants = [Variant::Plain]
        .into_iter()
        .chain(noop.map(Variant::Noop))
        .chain([Variant::Infertally])
        .chain(other.into_iter().map(Variant::OtherBuild))
        .chain([Variant::Cpp])
        .chain(ext_proc.map(Variant::ExtProc));
    let wasm_bytes = std::fs::metadata(&wasm)?.len();
    let options = Options {
        envoy,
        wasm,
        variants: variants.collect(),
        workers: 1,
        rounds,
        held_streams: 0,
    };
    let figures = run(&options, workloads).await?;
    print!("{}{}", tables(&figures), marks(&figures, wasm_bytes));
    println!("\nEvery Envoy processed all requests, bytes and tokens that were sent.");
    Ok(())
}
