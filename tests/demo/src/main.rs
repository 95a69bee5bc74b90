//! `make demo`: the whole product, with simulated model servers and mixed traffic, and what comes out held against what
//! was sent.

mod demo;
mod served;
mod steady;
mod table;
mod traffic;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use infertally_harness::Result;

#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    demo: Option<demo::Options>,
}

/// A part of it, for those who run the others elsewhere.
#[derive(Debug, Subcommand)]
enum Part {
    /// Send the traffic again and again; faults seldom
    Traffic {
        /// Where to
        #[arg(long, value_name = "HOST:PORT")]
        to: String,
        /// Between two requests
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 200)]
        pause: u64,
    },
    /// Succeed if a page answers with 200
    Check {
        /// http://HOST:PORT/PATH
        url: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { part, demo } = Cli::parse();
    let done = match (part, demo) {
        (Some(Part::Traffic { to, pause }), _) => traffic_until_told(&to, Duration::from_millis(pause)).await,
        (Some(Part::Check { url }), _) => steady::check(&url).await,
        (None, Some(options)) => demo::run(options).await,
        (None, None) => Err("nothing to do: see --help".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn traffic_until_told(to: &str, pause: Duration) -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = steady::send(to, pause) => {}
        _ = terminate.recv() => {}
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}
