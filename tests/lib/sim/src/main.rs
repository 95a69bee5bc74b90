//! Wires the simulator's two servers to a command line.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use infertally_sim::{Replay, ReplayConfig, Sim, SimConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A simulated LLM model server, with faults on request.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer as vLLM does; the header `x-sim` of a request asks for faults.
    Serve {
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
        /// The base model's name.
        #[arg(long, default_value = "tiny")]
        model: String,
        /// An adapter that is loaded from the start; may be repeated.
        #[arg(long = "adapter", value_name = "NAME")]
        adapters: Vec<String>,
        /// The most tokens a request may ask for.
        #[arg(long, value_name = "TOKENS", default_value_t = SimConfig::default().max_model_len)]
        max_model_len: u64,
        /// Requests beyond so many wait for one to end.
        #[arg(long, value_name = "REQUESTS")]
        max_running: Option<usize>,
        /// What clients have to bring as a bearer token for what is below /v1.
        #[arg(long, value_name = "KEY")]
        api_key: Option<String>,
        /// Take no notice of load_inplace, as older vLLM.
        #[arg(long)]
        no_loads_in_place: bool,
        /// What requests for a path get that have no x-sim header, as in
        /// `/v1/chat/completions=delay=50ms;gap=5ms`, `/health=status=503;for=20s` or
        /// `/v1/load_lora_adapter#NAME=hang=headers`; may be repeated.
        #[arg(long, value_name = "PATH=X-SIM", value_parser = path_and_list)]
        always: Vec<(String, String)>,
    },
    /// Send captured answers byte for byte; the header `x-sim-replay` of a request names one.
    Replay {
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
        /// The folder of the captures, `NAME.resp` each.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[tokio::main]
async fn main() -> io::Result<()> {
    // Before the address is told: who has read it may end this at once.
    let end = End::new()?;
    match Cli::parse().command {
        Command::Serve {
            listen,
            model,
            adapters,
            max_model_len,
            max_running,
            api_key,
            no_loads_in_place,
            always,
        } => {
            let config = SimConfig {
                listen,
                base_model: model,
                adapters,
                max_model_len,
                max_running,
                api_key,
                loads_in_place: !no_loads_in_place,
            };
            let sim = Sim::start(config).await?;
            for (path, list) in &always {
                sim.always(path, list).map_err(io::Error::other)?;
            }
            announce(sim.addr())?;
            end.told().await;
            sim.shutdown().await;
        }
        Command::Replay { listen, dir } => {
            let replay = Replay::start(ReplayConfig { listen, dir }).await?;
            announce(replay.addr())?;
            end.told().await;
            replay.shutdown().await;
        }
    }
    Ok(())
}

fn path_and_list(given: &str) -> Result<(String, String), &'static str> {
    let (path, list) = given.split_once('=').ok_or("not of the form PATH=X-SIM")?;
    Ok((path.to_owned(), list.to_owned()))
}

/// Scripts wait for this line and read the port from it.
fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{addr}")?;
    out.flush()
}

/// The signals that end the process.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

// === impl End ===

impl End {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn told(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
