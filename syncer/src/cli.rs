//! The command line. Every flag has an environment variable, `INFERTALLY_<NAME>`; the flag takes precedence. Variables of
//! that name that Kubernetes sets for a Service are ignored, see [`environment`].

pub mod check;
mod duration;
pub mod environment;
pub mod envoys;
pub mod lora;
pub mod pool;
mod serve;
mod target_access;

use clap::{Parser, Subcommand, ValueEnum};

use crate::version;
use duration::duration;
pub use serve::{AuthMode, ServeArgs};
pub use target_access::TargetAccess;

/// The parsed arguments.
#[derive(Debug, Parser)]
#[command(name = "infertally-syncer", version = version::long(), about, propagate_version = true)]
pub struct Cli {
    /// Format of log lines, which go to standard error. RUST_LOG sets the level
    #[arg(long, env = "INFERTALLY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    /// The role.
    #[command(subcommand)]
    pub role: Role,
}

/// The roles of the syncer.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Scrape the model servers of a pool, and Envoys with the filter, and serve all their metrics on one /metrics
    Pool(Box<pool::PoolArgs>),
    /// Load and unload the LoRA adapters of a model server as a file lists them, and serve their status
    ///
    /// Reads the configuration file, takes the flags and serves the metric of the Gateway API Inference Extension's
    /// lora-syncer (tools/dynamic-lora-sidecar), which it can replace.
    Lora(Box<lora::LoraArgs>),
    /// Request a page and exit with 0 if its status is 200: a health check for containers without a shell
    CheckHealth(check::CheckArgs),
}

/// Formats of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable
    Text,
    /// One JSON object per line
    Json,
}
