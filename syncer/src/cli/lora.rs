//! `infertally-syncer lora`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::{AuthMode, ServeArgs, duration};

/// Arguments of the role. The names of the first six are those of the guide's reference.
#[derive(Clone, Debug, Args)]
pub struct LoraArgs {
    /// The file that says which adapters the server should hold; read again when it changes.
    #[arg(
        long,
        env = "DYNAMIC_LORA_ROLLOUT_CONFIG",
        value_name = "FILE",
        default_value = "/config/configmap.yaml"
    )]
    pub config: PathBuf,
    /// How long to wait for the server, or for a configuration that can be used, after the start: 300 or 5m.
    #[arg(long, env = "INFERTALLY_HEALTH_CHECK_TIMEOUT", value_name = "TIME", default_value = "300", value_parser = seconds)]
    pub health_check_timeout: Duration,
    /// How often a server is asked that is not well, until then.
    #[arg(long, env = "INFERTALLY_HEALTH_CHECK_INTERVAL", value_name = "TIME", default_value = "2", value_parser = seconds)]
    pub health_check_interval: Duration,
    /// How often the server is asked what it holds.
    #[arg(long, env = "INFERTALLY_RECONCILE_TRIGGER", value_name = "TIME", default_value = "5", value_parser = seconds)]
    pub reconcile_trigger: Duration,
    /// Taken for the sake of old command lines: the file is always checked.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub config_validation: Option<bool>,
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(long, env = "INFERTALLY_METRICS_PORT", value_name = "PORT", default_value_t = 8080)]
    pub metrics_port: u16,
    /// On which of the host's addresses.
    #[arg(
        long,
        env = "INFERTALLY_METRICS_ADDRESS",
        value_name = "ADDRESS",
        default_value = "0.0.0.0"
    )]
    pub metrics_address: IpAddr,
    /// When /readyz says that we are ready.
    #[arg(long, env = "INFERTALLY_READY_WHEN", value_enum, default_value_t = ReadyWhen::Loaded)]
    pub ready_when: ReadyWhen,

    /// How long the server may take to say how it is and what it holds.
    #[arg(long, env = "INFERTALLY_REQUEST_TIMEOUT", value_name = "TIME", default_value = "10", value_parser = seconds)]
    #[arg(help_heading = "How the model server is asked")]
    pub request_timeout: Duration,
    /// How long it may take to load or unload an adapter.
    #[arg(long, env = "INFERTALLY_LOAD_TIMEOUT", value_name = "TIME", default_value = "120", value_parser = seconds)]
    #[arg(help_heading = "How the model server is asked")]
    pub load_timeout: Duration,
    /// How many adapters it may be asked for at a time.
    #[arg(long, env = "INFERTALLY_CONCURRENCY", value_name = "NUMBER", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "How the model server is asked")]
    pub concurrency: u16,
    /// A file with the bearer token that the server wants (vLLM: --api-key); read for each request.
    #[arg(
        long,
        env = "INFERTALLY_SERVER_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "server_token"
    )]
    #[arg(help_heading = "How the model server is asked")]
    pub server_token_file: Option<PathBuf>,
    /// The token itself. Everybody on the host can see a command line: better by the environment.
    #[arg(long, env = "INFERTALLY_SERVER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    #[arg(help_heading = "How the model server is asked")]
    pub server_token: Option<String>,
    /// Certificates (PEM) that sign that of a server with https, beside the system's.
    #[arg(long, env = "INFERTALLY_CA_FILE", value_name = "FILE")]
    #[arg(help_heading = "How the model server is asked")]
    pub ca_file: Option<PathBuf>,

    /// Check this file, print all that is wrong with it, and end: 0 if it can be used, else 64.
    #[arg(long, value_name = "FILE", group = "mode", help_heading = "Instead of running on")]
    pub check: Option<PathBuf>,
    /// Ask the server, print what would be done, and end: 0 if it could be asked, else 1.
    #[arg(long, group = "mode", help_heading = "Instead of running on")]
    pub dry_run: bool,
    /// Wait for the server, do what is to be done, print how each adapter stands, and end: 0 if all is as configured,
    /// else 1.
    #[arg(long, group = "mode", help_heading = "Instead of running on")]
    pub once: bool,

    /// How /metrics is served.
    #[command(flatten, next_help_heading = "How /metrics is served")]
    pub serve: ServeArgs,
}

/// When /readyz says yes. A pod is as ready as all its containers, a sidecar too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadyWhen {
    /// The server is known to hold what is configured.
    Loaded,
    /// There is a configuration that can be used: an adapter that can't be loaded doesn't take the pod's traffic away.
    Configured,
}

// === impl LoraArgs ===

impl LoraArgs {
    /// Where to serve.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.metrics_address, self.metrics_port)
    }

    /// Who may read: everybody, unless it is said. Whoever scrapes the guide's reference today has no token.
    pub fn auth_mode(&self) -> AuthMode {
        self.serve.metrics_auth.unwrap_or(AuthMode::None)
    }

    /// Every mistake that the arguments make together.
    pub fn usage_errors(&self) -> Vec<String> {
        self.serve.usage_errors()
    }
}

/// The reference's durations are whole seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return duration(&format!("{text}s"));
    }
    duration(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Role};

    fn parse(arguments: &str) -> Result<LoraArgs, String> {
        let words = ["infertally-syncer", "lora"]
            .into_iter()
            .chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.role {
            Role::Lora(args) => Ok(*args),
            Role::Pool(_) | Role::CheckHealth(_) => panic!("another role"),
        }
    }

    #[test]
    fn the_command_lines_of_the_reference_are_taken() {
        let args = parse("").unwrap();
        assert_eq!(args.config, PathBuf::from("/config/configmap.yaml"));
        assert_eq!(args.health_check_timeout, Duration::from_secs(300));
        assert_eq!(args.health_check_interval, Duration::from_secs(2));
        assert_eq!(args.reconcile_trigger, Duration::from_secs(5));
        assert_eq!(args.listen(), "0.0.0.0:8080".parse().unwrap());
        assert_eq!(args.auth_mode(), AuthMode::None);
        let args = parse(
            "--config /c --health-check-timeout 600 --health-check-interval=1 --reconcile-trigger 30 --config-validation \
             --metrics-port 8081",
        );
        let args = args.unwrap();
        assert_eq!(args.config, PathBuf::from("/c"));
        assert_eq!(args.health_check_timeout, Duration::from_secs(600));
        assert_eq!(args.health_check_interval, Duration::from_secs(1));
        assert_eq!(args.reconcile_trigger, Duration::from_secs(30));
        assert_eq!(args.listen().port(), 8081);
    }

    #[test]
    fn times_may_have_units_and_are_never_nothing() {
        assert_eq!(
            parse("--load-timeout 2m").unwrap().load_timeout,
            Duration::from_secs(120)
        );
        for wrong in ["0", "0s", "-1", "", "soon", "1e3", "99999999999999999999"] {
            assert!(parse(&format!("--load-timeout={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_has_one_mode_and_one_token() {
        for wrong in [
            "--once --dry-run",
            "--check f --once",
            "--server-token a --server-token-file b",
            "--concurrency 0",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
