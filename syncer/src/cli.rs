//! The command line. Every flag is also an environment variable, `INFERTALLY_<NAME>`; the flag wins.

pub mod lora;
pub mod pool;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::version;

/// Parsed arguments.
#[derive(Debug, Parser)]
#[command(name = "infertally-syncer", version = version::long(), about, propagate_version = true)]
pub struct Cli {
    /// How log lines are written, to standard error. RUST_LOG sets which.
    #[arg(long, env = "INFERTALLY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    /// What to be.
    #[command(subcommand)]
    pub role: Role,
}

/// What the syncer is.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Read a pool's model servers, and Envoys with the filter, and serve one /metrics of it all.
    Pool(Box<pool::PoolArgs>),
    /// Keep a model server's LoRA adapters as a file says, and serve how each of them stands. It takes the place of the
    /// guide's reference: same file, same flags, same metric.
    Lora(Box<lora::LoraArgs>),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// How /metrics is served. Both roles have it.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Who may read /metrics [default: none; for the pool inside a cluster kubernetes]
    #[arg(long, env = "INFERTALLY_METRICS_AUTH", value_enum)]
    pub metrics_auth: Option<AuthMode>,
    /// The bearer token of `--metrics-auth token`; read again when it changes.
    #[arg(long, env = "INFERTALLY_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Serve TLS with this certificate (PEM); read again when it changes.
    #[arg(long, env = "INFERTALLY_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "INFERTALLY_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Serve TLS with a certificate of its own making, which nobody signed.
    #[arg(long, env = "INFERTALLY_TLS_SELF_SIGNED")]
    pub tls_self_signed: bool,
}

/// Who may read /metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Anybody.
    None,
    /// Who has the token.
    Token,
    /// Whom the cluster's API server allows to get /metrics (TokenReview, SubjectAccessReview).
    Kubernetes,
}

// === impl ServeArgs ===

impl ServeArgs {
    /// Every mistake that the arguments make together.
    fn mistakes(&self) -> Vec<String> {
        let wants_token = self.metrics_auth == Some(AuthMode::Token);
        let rules = [
            (
                wants_token && self.token_file.is_none(),
                "--metrics-auth token: needs --token-file",
            ),
            (
                !wants_token && self.token_file.is_some(),
                "--token-file: only with --metrics-auth token; without it the file would protect nothing",
            ),
            (
                self.tls_cert.is_some() != self.tls_key.is_some(),
                "--tls-cert and --tls-key: only together",
            ),
            (
                self.tls_self_signed && self.tls_cert.is_some(),
                "--tls-self-signed: not beside --tls-cert",
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, _)| *broken);
        broken.map(|(_, mistake)| mistake.to_owned()).collect()
    }
}

/// A duration as a person writes it: `1s`, `900ms`, `1m 30s`. Not zero.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("not longer than nothing".to_owned()),
        Ok(duration) if duration > MAX_DURATION => {
            Err(format!("longer than {}", humantime::format_duration(MAX_DURATION)))
        }
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error} (such as 1s or 900ms)")),
    }
}

/// A typing error, not a wish.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
