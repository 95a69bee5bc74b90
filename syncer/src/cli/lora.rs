//! The arguments of `infertally-syncer lora`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::{AuthMode, ServeArgs, duration};
use crate::lora::api::LoraApi;

/// Arguments of the role. The first six are those of Gateway API Inference Extension's LoRA sidecar.
#[derive(Clone, Debug, Args)]
pub struct LoraArgs {
    /// Configuration file: the adapters that should and should not be loaded; re-read when it changes.
    #[arg(
        long,
        env = "DYNAMIC_LORA_ROLLOUT_CONFIG",
        value_name = "FILE",
        default_value = "/config/configmap.yaml"
    )]
    pub config: PathBuf,
    /// How long to wait for the model server and for a valid configuration at the start, such as 300 or 5m.
    #[arg(long, env = "INFERTALLY_HEALTH_CHECK_TIMEOUT", value_name = "TIME", default_value = "300", value_parser = seconds)]
    pub health_check_timeout: Duration,
    /// How often to poll a model server that is not reachable, until that timeout.
    #[arg(long, env = "INFERTALLY_HEALTH_CHECK_INTERVAL", value_name = "TIME", default_value = "2", value_parser = seconds)]
    pub health_check_interval: Duration,
    /// How often to poll the model server for its adapters.
    #[arg(long, env = "INFERTALLY_RECONCILE_TRIGGER", value_name = "TIME", default_value = "5", value_parser = seconds)]
    pub reconcile_trigger: Duration,
    /// Accepted for compatibility, without effect: the configuration is always validated.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub config_validation: Option<bool>,
    /// Port for /metrics, /healthz and /readyz.
    #[arg(long, env = "INFERTALLY_METRICS_PORT", value_name = "PORT", default_value_t = 8080)]
    pub metrics_port: u16,
    /// Address for /metrics, /healthz and /readyz.
    #[arg(
        long,
        env = "INFERTALLY_METRICS_ADDRESS",
        value_name = "ADDRESS",
        default_value = "0.0.0.0"
    )]
    pub metrics_address: IpAddr,
    /// When /readyz returns 200.
    #[arg(long, env = "INFERTALLY_READY_WHEN", value_enum, default_value_t = ReadyWhen::Loaded)]
    pub ready_when: ReadyWhen,

    /// Which requests load and unload adapters.
    #[arg(long, env = "INFERTALLY_LORA_API", value_enum, default_value_t = ApiChoice::Auto)]
    #[arg(help_heading = "Model server")]
    pub lora_api: ApiChoice,
    /// Timeout of health checks and polls.
    #[arg(long, env = "INFERTALLY_REQUEST_TIMEOUT", value_name = "TIME", default_value = "10", value_parser = seconds)]
    #[arg(help_heading = "Model server")]
    pub request_timeout: Duration,
    /// Timeout of loading or unloading an adapter.
    #[arg(long, env = "INFERTALLY_LOAD_TIMEOUT", value_name = "TIME", default_value = "120", value_parser = seconds)]
    #[arg(help_heading = "Model server")]
    pub load_timeout: Duration,
    /// Adapters to load or unload at a time on each server.
    #[arg(long, env = "INFERTALLY_CONCURRENCY", value_name = "NUMBER", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Model server")]
    pub concurrency: u16,
    /// File with the bearer token for the model server (vLLM: --api-key); re-read for each request.
    #[arg(
        long,
        env = "INFERTALLY_SERVER_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "server_token"
    )]
    #[arg(help_heading = "Model server")]
    pub server_token_file: Option<PathBuf>,
    /// Bearer token for the model server. Prefer the environment variable: command lines are visible to others on the host.
    #[arg(long, env = "INFERTALLY_SERVER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    #[arg(help_heading = "Model server")]
    pub server_token: Option<String>,
    /// CA certificates (PEM) to trust for an https model server, instead of the system's.
    #[arg(long, env = "INFERTALLY_CA_FILE", value_name = "FILE")]
    #[arg(help_heading = "Model server")]
    pub ca_file: Option<PathBuf>,

    /// Validate this file, print all errors and warnings, and exit: 0 if it is valid, else 64.
    #[arg(long, value_name = "FILE", group = "mode", help_heading = "Modes that exit")]
    pub check: Option<PathBuf>,
    /// Poll the model server, print the planned actions, and exit: 0 if the poll succeeds, else 1.
    #[arg(long, group = "mode", help_heading = "Modes that exit")]
    pub dry_run: bool,
    /// Wait for the model server, load and unload adapters, print the status of each, and exit: 0 if all are as
    /// configured, else 1.
    #[arg(long, group = "mode", help_heading = "Modes that exit")]
    pub once: bool,

    /// Authorization and TLS of /metrics.
    #[command(flatten, next_help_heading = "Access to /metrics")]
    pub serve: ServeArgs,
}

/// When /readyz returns 200. A pod is ready when all its containers are, sidecars included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadyWhen {
    /// All adapters are as configured.
    Loaded,
    /// The configuration is valid; an adapter that cannot be loaded does not take the pod out of service.
    Configured,
}

/// The value of `--lora-api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ApiChoice {
    /// As `owned_by` in the server's list of models says, else vLLM's
    Auto,
    /// vLLM's: /v1/load_lora_adapter
    Vllm,
    /// SGLang's: /load_lora_adapter
    Sglang,
}

// === impl ApiChoice ===

impl ApiChoice {
    /// None to detect it.
    pub fn configured(self) -> Option<LoraApi> {
        match self {
            Self::Auto => None,
            Self::Vllm => Some(LoraApi::Vllm),
            Self::Sglang => Some(LoraApi::Sglang),
        }
    }
}

// === impl LoraArgs ===

impl LoraArgs {
    /// The address of the metrics server.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.metrics_address, self.metrics_port)
    }

    /// Who can scrape: anyone by default, because scrapers of Gateway API Inference Extension's LoRA sidecar have no token.
    pub fn auth_mode(&self) -> AuthMode {
        self.serve.metrics_auth.unwrap_or(AuthMode::None)
    }

    /// Errors in combinations of arguments.
    pub fn usage_errors(&self) -> Vec<String> {
        self.serve.usage_errors()
    }
}

/// A duration, or whole seconds as Gateway API Inference Extension's LoRA sidecar takes them.
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
            Role::Pool(_) | Role::CheckHealth(_) => panic!("not the LoRA role"),
        }
    }

    #[test]
    fn command_lines_of_the_gateway_api_sidecar_are_accepted() {
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
    fn durations_have_optional_units_and_are_positive() {
        assert_eq!(
            parse("--load-timeout 2m").unwrap().load_timeout,
            Duration::from_secs(120)
        );
        for invalid in ["0", "0s", "-1", "", "soon", "1e3", "99999999999999999999"] {
            assert!(parse(&format!("--load-timeout={invalid}")).is_err(), "{invalid}");
        }
    }

    #[test]
    fn modes_and_tokens_are_exclusive() {
        for invalid in [
            "--once --dry-run",
            "--check f --once",
            "--server-token a --server-token-file b",
            "--concurrency 0",
        ] {
            assert!(parse(invalid).is_err(), "{invalid}");
        }
    }
}
