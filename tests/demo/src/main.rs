//! `make demo`: runs the whole product with simulated model servers and mixed traffic, and checks every metric against what
//! was sent.

mod checks;
mod continuous;
mod demo;
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
    command: Option<Command>,
    #[command(flatten)]
    demo: Option<demo::Options>,
}

/// Parts of the demo, for setups that run the rest elsewhere, such as compose.yaml.
#[derive(Debug, Subcommand)]
enum Command {
    /// Send the traffic repeatedly, with a few faults
    Traffic {
        /// The address of Envoy
        #[arg(long, value_name = "HOST:PORT")]
        to: String,
        /// The pause between two requests
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 200)]
        pause: u64,
    },
    /// Check that a URL returns status 200
    Check {
        /// The URL, http://HOST:PORT/PATH
        url: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, demo } = Cli::parse();
    let result = match (command, demo) {
        (Some(Command::Traffic { to, pause }), _) => traffic_until_signal(&to, Duration::from_millis(pause)).await,
        (Some(Command::Check { url }), _) => continuous::check(&url).await,
        (None, Some(options)) => demo::run(options).await,
        (None, None) => Err("no arguments: see --help".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn traffic_until_signal(to: &str, pause: Duration) -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = continuous::send(to, pause) => {}
        _ = terminate.recv() => {}
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}
