//! Command line of the simulator's two servers.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use infertally_sim::{AdapterApi, Replay, ReplayConfig, Sim, SimConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A simulated LLM model server with fault injection.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the OpenAI API as vLLM does; the request header `x-sim` injects faults.
    Serve {
        /// The address to listen on; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
        /// The name of the base model.
        #[arg(long, default_value = "tiny")]
        model: String,
        /// An adapter that is loaded from the start; may be repeated.
        #[arg(long = "adapter", value_name = "NAME")]
        adapters: Vec<String>,
        /// The limit of a request's max_tokens.
        #[arg(long, value_name = "TOKENS", default_value_t = SimConfig::default().max_model_len)]
        max_model_len: u64,
        /// How many inference requests run at once; the rest are queued. Without it there is no limit.
        #[arg(long, value_name = "REQUESTS")]
        max_running: Option<usize>,
        /// The bearer token that clients need for paths below /v1.
        #[arg(long, value_name = "KEY")]
        api_key: Option<String>,
        /// Ignore load_inplace, as older versions of vLLM do.
        #[arg(long)]
        ignore_load_inplace: bool,
        /// Load and unload adapters as SGLang does.
        #[arg(long)]
        sglang_adapters: bool,
        /// The behaviour of requests to PATH without an x-sim header; may be repeated. Examples:
        /// `/v1/chat/completions=delay=50ms;gap=5ms`, `/health=status=503;for=20s`,
        /// `/v1/load_lora_adapter#NAME=hang=headers`.
        #[arg(long = "behaviour", value_name = "PATH=X-SIM", value_parser = path_and_x_sim)]
        behaviours: Vec<(String, String)>,
    },
    /// Send captured responses byte for byte; the request header `x-sim-replay` names one.
    Replay {
        /// The address to listen on; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
        /// The directory of the captures, files NAME.resp.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[tokio::main]
async fn main() -> io::Result<()> {
    // Before the address is printed: whoever reads it may send a signal at once.
    let shutdown = Shutdown::new()?;
    match Cli::parse().command {
        Command::Serve {
            listen,
            model,
            adapters,
            max_model_len,
            max_running,
            api_key,
            ignore_load_inplace,
            sglang_adapters,
            behaviours,
        } => {
            let config = SimConfig {
                listen,
                base_model: model,
                adapters,
                max_model_len,
                max_running,
                api_key,
                supports_load_inplace: !ignore_load_inplace,
                adapter_api: if sglang_adapters {
                    AdapterApi::Sglang
                } else {
                    AdapterApi::Vllm
                },
            };
            let sim = Sim::start(config).await?;
            for (path, x_sim) in &behaviours {
                sim.set_behaviour(path, x_sim).map_err(io::Error::other)?;
            }
            announce(sim.addr())?;
            shutdown.signal().await;
            sim.shutdown().await;
        }
        Command::Replay { listen, dir } => {
            let replay = Replay::start(ReplayConfig { listen, dir }).await?;
            announce(replay.addr())?;
            shutdown.signal().await;
            replay.shutdown().await;
        }
    }
    Ok(())
}

fn path_and_x_sim(value: &str) -> Result<(String, String), &'static str> {
    let (path, x_sim) = value.split_once('=').ok_or("not of the form PATH=X-SIM")?;
    Ok((path.to_owned(), x_sim.to_owned()))
}

/// Scripts wait for this line and parse the port from it.
fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{addr}")?;
    out.flush()
}

/// SIGINT and SIGTERM.
struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
}

// === impl Shutdown ===

impl Shutdown {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn signal(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
