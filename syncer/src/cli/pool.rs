//! `infertally-syncer pool`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;
use http::uri::PathAndQuery;

use super::{AuthMode, ServeArgs, duration};
use crate::aliases::AliasSet;
use crate::discovery::Target;
use crate::discovery::dns::DnsName;
use crate::discovery::kubernetes::PoolRef;
use crate::discovery::target::{base_url, host_and_port, with_path};
use crate::engine::{Engine, Reading, Selector};

/// Where an Envoy's admin has its stats in Prometheus' form.
const STATS_PATH: &str = "/stats/prometheus";
/// A value is good for so many scrape intervals: one may fail without a gap.
const STALE_INTERVALS: u32 = 3;

/// Arguments of the role.
#[derive(Clone, Debug, Args)]
pub struct PoolArgs {
    /// The pool's name: the label `name` [default: the InferencePool's name, else "default"]
    #[arg(long, env = "INFERTALLY_POOL", value_name = "NAME")]
    pub pool: Option<String>,
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(
        long,
        env = "INFERTALLY_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    pub listen: SocketAddr,

    /// A model server: [name=]http://host:port. Repeatable.
    #[arg(
        long = "target",
        env = "INFERTALLY_TARGET",
        value_name = "[NAME=]URL",
        value_delimiter = ','
    )]
    #[arg(group = "source", help_heading = "Where the pool's pods are (one of)")]
    pub targets: Vec<Target>,
    /// A file of such targets, one a line; read again when it changes.
    #[arg(long, env = "INFERTALLY_TARGETS_FILE", value_name = "FILE")]
    #[arg(group = "source", help_heading = "Where the pool's pods are (one of)")]
    pub targets_file: Option<PathBuf>,
    /// Every address of this name, such as a headless Service's.
    #[arg(long, env = "INFERTALLY_DNS", value_name = "HOST:PORT")]
    #[arg(group = "source", help_heading = "Where the pool's pods are (one of)")]
    pub dns: Option<DnsName>,
    /// The pods of this InferencePool (v1 or v1alpha2).
    #[arg(long, env = "INFERTALLY_KUBERNETES", value_name = "[NAMESPACE/]INFERENCEPOOL")]
    #[arg(group = "source", help_heading = "Where the pool's pods are (one of)")]
    pub kubernetes: Option<PoolRef>,

    /// The admin, or a listener that forwards /stats/prometheus, of an Envoy with the filter: its metrics are served
    /// again, as true histograms. Repeatable; with several, each series also says which Envoy.
    #[arg(long = "envoy", env = "INFERTALLY_ENVOY", value_name = "URL", value_delimiter = ',', value_parser = envoy_url)]
    pub envoys: Vec<Uri>,
    /// Serve the metrics under the names of another version of the guide's reference, too: inference_model,
    /// inference_objective or llm_d_epp. Repeatable.
    #[arg(long = "alias", env = "INFERTALLY_ALIAS", value_name = "SET", value_delimiter = ',')]
    pub aliases: Vec<AliasSet>,

    /// What the model servers are: auto, vllm, sglang, trtllm, triton-trtllm or triton.
    #[arg(long, env = "INFERTALLY_ENGINE", value_name = "ENGINE", default_value = "auto", value_parser = engine)]
    #[arg(help_heading = "How model servers are read")]
    pub engine: EngineChoice,
    /// Another metric of waiting requests: name or name{label=value}.
    #[arg(long, env = "INFERTALLY_WAITING_METRIC", value_name = "METRIC")]
    #[arg(help_heading = "How model servers are read")]
    pub waiting_metric: Option<Selector>,
    /// Another metric of running requests.
    #[arg(long, env = "INFERTALLY_RUNNING_METRIC", value_name = "METRIC")]
    #[arg(help_heading = "How model servers are read")]
    pub running_metric: Option<Selector>,
    /// Another metric of the KV cache's use, 0 to 1.
    #[arg(long, env = "INFERTALLY_KV_CACHE_METRIC", value_name = "METRIC")]
    #[arg(help_heading = "How model servers are read")]
    pub kv_cache_metric: Option<Selector>,
    /// Where model servers have their metrics, unless a target's URL says (trtllm-serve: /prometheus/metrics).
    #[arg(
        long,
        env = "INFERTALLY_METRICS_PATH",
        value_name = "PATH",
        default_value = "/metrics"
    )]
    #[arg(help_heading = "How model servers are read")]
    #[arg(value_parser = metrics_path)]
    pub metrics_path: PathAndQuery,
    /// How often each model server and Envoy is read.
    #[arg(long, env = "INFERTALLY_SCRAPE_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(help_heading = "How model servers are read")]
    pub scrape_interval: Duration,
    /// How long that may take; less than the interval [default: nine tenths of the interval, 10s at most]
    #[arg(long, env = "INFERTALLY_SCRAPE_TIMEOUT", value_name = "TIME", value_parser = duration)]
    #[arg(help_heading = "How model servers are read")]
    pub scrape_timeout: Option<Duration>,
    /// For how long a value stands that could not be read again [default: three intervals]
    #[arg(long, env = "INFERTALLY_STALE_AFTER", value_name = "TIME", value_parser = duration)]
    #[arg(help_heading = "How model servers are read")]
    pub stale_after: Option<Duration>,
    /// The longest page of a model server, bytes.
    #[arg(long, env = "INFERTALLY_MAX_PAGE_BYTES", value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 30), help_heading = "How model servers are read")]
    pub max_page_bytes: u64,
    /// Certificates (PEM) that sign those of https targets and Envoys, beside the system's.
    #[arg(long, env = "INFERTALLY_CA_FILE", value_name = "FILE")]
    #[arg(help_heading = "How model servers are read")]
    pub ca_file: Option<PathBuf>,

    /// How /metrics is served.
    #[command(flatten, next_help_heading = "How /metrics is served")]
    pub serve: ServeArgs,
}

/// An engine, or whichever it turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// Told by what the server serves.
    Auto,
    /// This.
    Forced(Engine),
}

// === impl PoolArgs ===

impl PoolArgs {
    /// Who may read: inside a cluster, unless it is said, whom the cluster allows.
    pub fn auth_mode(&self) -> AuthMode {
        let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        self.serve.metrics_auth.unwrap_or(if in_cluster {
            AuthMode::Kubernetes
        } else {
            AuthMode::None
        })
    }

    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        const LONGEST_DEFAULT: Duration = Duration::from_secs(10);
        self.scrape_timeout
            .unwrap_or_else(|| (self.scrape_interval * 9 / 10).min(LONGEST_DEFAULT))
    }

    /// How long a value stands.
    pub fn stale_after(&self) -> Duration {
        self.stale_after
            .unwrap_or_else(|| self.scrape_interval * STALE_INTERVALS)
    }

    /// How model servers' pages are read.
    pub fn reading(&self) -> Reading {
        Reading {
            engine: match self.engine {
                EngineChoice::Auto => None,
                EngineChoice::Forced(engine) => Some(engine),
            },
            waiting: self.waiting_metric.clone(),
            running: self.running_metric.clone(),
            kv_cache: self.kv_cache_metric.clone(),
        }
    }

    /// The label `name`.
    pub fn pool_name(&self) -> &str {
        match (&self.pool, &self.kubernetes) {
            (Some(name), _) => name,
            (None, Some(pool)) => &pool.name,
            (None, None) => "default",
        }
    }

    /// Every mistake that the arguments make together.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.targets.is_empty()
            && self.targets_file.is_none()
            && self.dns.is_none()
            && self.kubernetes.is_none()
            && self.envoys.is_empty()
        {
            mistakes.push(
                "nothing to read: give --target, --targets-file, --dns or --kubernetes for model servers, --envoy for \
                 Envoys"
                    .to_owned(),
            );
        }
        if let Err(error) = crate::discovery::target::check(&self.targets) {
            mistakes.push(error.to_string());
        }
        let (interval, timeout, stale_after) = (self.scrape_interval, self.timeout(), self.stale_after());
        let shown = humantime::format_duration;
        if timeout >= interval {
            mistakes.push(format!(
                "--scrape-timeout {}: not less than --scrape-interval {}",
                shown(timeout),
                shown(interval)
            ));
        }
        if stale_after <= interval {
            mistakes.push(format!(
                "--stale-after {}: not more than --scrape-interval {}, so every value would be stale before the next",
                shown(stale_after),
                shown(interval)
            ));
        }
        if self.pool_name().is_empty() {
            mistakes.push("--pool: empty".to_owned());
        }
        let mut envoys: Vec<_> = self.envoys.iter().map(host_and_port).collect();
        envoys.sort_unstable();
        for pair in envoys.windows(2) {
            if let [a, b] = pair
                && a == b
            {
                mistakes.push(format!("--envoy {a}: given twice"));
            }
        }
        mistakes.extend(self.serve.mistakes());
        mistakes
    }
}

fn envoy_url(text: &str) -> Result<Uri, String> {
    base_url(text).map(|url| with_path(&url, &PathAndQuery::from_static(STATS_PATH)))
}

fn metrics_path(text: &str) -> Result<PathAndQuery, String> {
    match text.parse() {
        Ok(path) if text.starts_with('/') => Ok(path),
        _ => Err("not a path that begins with '/'".to_owned()),
    }
}

fn engine(text: &str) -> Result<EngineChoice, String> {
    if text == "auto" {
        return Ok(EngineChoice::Auto);
    }
    text.parse()
        .map(EngineChoice::Forced)
        .map_err(|error| format!("{error}"))
}
