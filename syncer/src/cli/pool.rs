//! [`PoolArgs`], the arguments of `infertally-syncer pool`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::duration;
use super::envoys::EnvoyArgs;
use super::serve::{AuthMode, ServeArgs};
use super::target_access::{Sources, TargetAccess};
use crate::aliases::AliasSet;
use crate::discovery::dns::DnsName;
use crate::discovery::kubernetes::{MAX_POOLS, PoolRef, PoolSelection, RoleLabels};
use crate::engine::{Engine, EngineOptions, Selector};
use crate::pool::Settings;
use crate::target::{self, Target};

/// By default values are stale after this many scrape intervals, so that one failed scrape leaves no gap.
const STALE_INTERVALS: u32 = 3;
/// The longest default timeout of a scrape, as Prometheus has it.
const MAX_DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The label `name` of a pool that is neither named by a flag nor an InferencePool.
const DEFAULT_POOL: &str = "default";

const SOURCE_HEADING: &str = "Source of the pool's pods (one of)";
const SCRAPE_HEADING: &str = "Scrapes";

/// Arguments of the role.
#[derive(Clone, Debug, Args)]
pub struct PoolArgs {
    /// Name of the pool: the value of the label `name` [default: the InferencePool's name, else "default"]
    #[arg(long, env = "INFERTALLY_POOL", value_name = "NAME")]
    pub pool: Option<String>,
    /// Address and port of /metrics, /healthz and /readyz
    #[arg(
        long,
        env = "INFERTALLY_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    pub listen: SocketAddr,

    /// Scrape this model server, for example a=http://10.0.0.1:8000. Repeatable
    ///
    /// NAME is the value of the label `model_server_pod`, HOST:PORT by default. A URL with a path overrides --metrics-path.
    /// ROLE is the value of the label `role`, see --role-label.
    #[arg(
        long = "target",
        env = "INFERTALLY_TARGET",
        value_name = "[NAME=]URL[ role=ROLE]",
        value_delimiter = ','
    )]
    #[arg(group = "source", help_heading = SOURCE_HEADING)]
    pub targets: Vec<Target>,
    /// Scrape the model servers in this file: one [NAME=]URL[ role=ROLE] per line, # begins a comment. Re-read when it changes
    #[arg(long, env = "INFERTALLY_TARGETS_FILE", value_name = "FILE")]
    #[arg(group = "source", help_heading = SOURCE_HEADING)]
    pub targets_file: Option<PathBuf>,
    /// Scrape every address of this DNS name, such as a headless Service's. Re-resolved every 5 s
    #[arg(long, env = "INFERTALLY_DNS", value_name = "HOST:PORT")]
    #[arg(group = "source", help_heading = SOURCE_HEADING)]
    pub dns: Option<DnsName>,
    /// Scrape the pods of this InferencePool (v1 or v1alpha2), or of all of a namespace: [NAMESPACE/]*. Repeatable
    ///
    /// NAMESPACE is that of the syncer's pod by default, else that of the kubeconfig's context. The series have the label
    /// `namespace` if the flags name more than one namespace. Up to 100 pools of a namespace are followed.
    #[arg(
        long,
        env = "INFERTALLY_KUBERNETES",
        value_name = "[NAMESPACE/]INFERENCEPOOL",
        value_delimiter = ','
    )]
    #[arg(group = "source", help_heading = SOURCE_HEADING)]
    pub kubernetes: Vec<PoolRef>,

    /// The Envoys with the filter.
    #[command(flatten, next_help_heading = "Envoys")]
    pub envoy: EnvoyArgs,
    /// Waiting requests of a pod at which it counts as saturated: inference_pool_saturation is 1 if all ready pods have
    /// as many
    #[arg(long, env = "INFERTALLY_QUEUE_LIMIT", value_name = "REQUESTS", default_value = "5", value_parser = queue_limit)]
    pub queue_limit: f64,
    /// Label of a pod that holds its role in a disaggregated pool, such as prefill or decode. Repeatable, the first that
    /// the pod has wins [default: inference.networking.k8s.io/role, llm-d.ai/role]
    #[arg(
        long = "role-label",
        env = "INFERTALLY_ROLE_LABEL",
        value_name = "LABEL",
        value_delimiter = ',',
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub role_labels: Vec<String>,

    /// Also serve the metrics under other names: inference_model, inference_objective or llm_d_epp. Repeatable
    ///
    /// The default names are those of the Gateway API Inference Extension v0.4 to v1.0. inference_objective has its names
    /// since v1.1, llm_d_epp those of llm-d-router. inference_model has its prefixed name of
    /// normalized_time_per_output_token_seconds.
    #[arg(long = "alias", env = "INFERTALLY_ALIAS", value_name = "SET", value_delimiter = ',')]
    pub aliases: Vec<AliasSet>,

    /// Engine of the model servers: vllm, sglang, trtllm, triton-trtllm, triton, llamacpp, tgi, or auto to detect it by its metrics
    #[arg(long, env = "INFERTALLY_ENGINE", value_name = "ENGINE", default_value = "auto", value_parser = engine)]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub engine: EngineChoice,
    /// Metric of waiting requests: name or name{label=value} [default: the engine's]
    #[arg(long, env = "INFERTALLY_WAITING_METRIC", value_name = "METRIC")]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub waiting_metric: Option<Selector>,
    /// Metric of running requests [default: the engine's]
    #[arg(long, env = "INFERTALLY_RUNNING_METRIC", value_name = "METRIC")]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub running_metric: Option<Selector>,
    /// Metric of KV cache utilization, 0 to 1 [default: the engine's]
    #[arg(long, env = "INFERTALLY_KV_CACHE_METRIC", value_name = "METRIC")]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub kv_cache_metric: Option<Selector>,
    /// Time between two scrapes of a model server, such as 1s or 900ms
    #[arg(long, env = "INFERTALLY_SCRAPE_INTERVAL", value_name = "DURATION", default_value = "1s", value_parser = duration)]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub scrape_interval: Duration,
    /// Timeout of a scrape, shorter than the interval [default: 90% of the interval, up to 10s]
    #[arg(long, env = "INFERTALLY_SCRAPE_TIMEOUT", value_name = "DURATION", value_parser = duration)]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub scrape_timeout: Option<Duration>,
    /// Time after which values that could not be scraped again are no longer served [default: 3 intervals]
    #[arg(long, env = "INFERTALLY_STALE_AFTER", value_name = "DURATION", value_parser = duration)]
    #[arg(help_heading = SCRAPE_HEADING)]
    pub stale_after: Option<Duration>,
    /// Largest page of a model server in bytes, decompressed. The scrape of a larger one fails
    #[arg(long, env = "INFERTALLY_MAX_PAGE_BYTES", value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 30), help_heading = SCRAPE_HEADING)]
    pub max_page_bytes: u64,
    /// Where the model servers' metrics are.
    #[command(flatten, next_help_heading = "Access to model servers")]
    pub access: TargetAccess,

    /// How /metrics is served.
    #[command(flatten, next_help_heading = "Access to /metrics")]
    pub serve: ServeArgs,
}

/// The value of `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// Detect the engine by its metrics.
    Auto,
    /// Use this engine's metrics.
    Configured(Engine),
}

// === impl PoolArgs ===

impl PoolArgs {
    /// Who can scrape /metrics; the default depends on whether the syncer runs in a cluster.
    pub fn auth_mode(&self) -> AuthMode {
        let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        self.serve.metrics_auth.unwrap_or(if in_cluster {
            AuthMode::Kubernetes
        } else {
            AuthMode::None
        })
    }

    /// The timeout of a scrape.
    pub fn timeout(&self) -> Duration {
        self.scrape_timeout
            .unwrap_or_else(|| (self.scrape_interval * 9 / 10).min(MAX_DEFAULT_TIMEOUT))
    }

    /// The age at which values are stale.
    pub fn stale_after(&self) -> Duration {
        self.stale_after
            .unwrap_or_else(|| self.scrape_interval * STALE_INTERVALS)
    }

    /// What the pool's gauges depend on.
    pub fn pool_settings(&self) -> Settings {
        Settings {
            stale_after: self.stale_after(),
            queue_limit: self.queue_limit,
        }
    }

    /// The labels that hold a pod's role.
    pub fn role_labels(&self) -> RoleLabels {
        match self.role_labels.as_slice() {
            [] => RoleLabels::default(),
            labels => RoleLabels::new(labels),
        }
    }

    /// How the model servers' pages are read.
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            engine: match self.engine {
                EngineChoice::Auto => None,
                EngineChoice::Configured(engine) => Some(engine),
            },
            waiting: self.waiting_metric.clone(),
            running: self.running_metric.clone(),
            kv_cache: self.kv_cache_metric.clone(),
        }
    }

    /// The label `name` of a pool that is not an InferencePool.
    pub fn pool_name(&self) -> &str {
        self.pool.as_deref().unwrap_or(DEFAULT_POOL)
    }

    /// All combinations of arguments that are invalid.
    pub fn usage_errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if self.targets.is_empty()
            && self.targets_file.is_none()
            && self.dns.is_none()
            && self.kubernetes.is_empty()
            && !self.envoy.are_configured()
        {
            errors.push(
                "nothing to scrape: set --target, --targets-file, --dns or --kubernetes for model servers, or --envoy, \
                 --envoy-dns or --envoy-service for Envoys"
                    .to_owned(),
            );
        }
        if let Err(error) = target::check(&self.targets) {
            errors.push(error.to_string());
        }
        let (interval, timeout, stale_after) = (self.scrape_interval, self.timeout(), self.stale_after());
        let format = humantime::format_duration;
        if timeout >= interval {
            errors.push(format!(
                "--scrape-timeout {} must be shorter than --scrape-interval {}",
                format(timeout),
                format(interval)
            ));
        }
        if stale_after <= interval {
            errors.push(format!(
                "--stale-after {} must be longer than --scrape-interval {}, or values would be stale before the next scrape",
                format(stale_after),
                format(interval)
            ));
        }
        if self.pool_name().is_empty() {
            errors.push("--pool must not be empty".to_owned());
        }
        errors.extend(self.kubernetes_errors());
        errors.extend(self.envoy.usage_errors());
        errors.extend(self.access.usage_errors(&Sources {
            targets: &self.targets,
            dns: self.dns.as_ref(),
            kubernetes: !self.kubernetes.is_empty(),
        }));
        errors.extend(self.serve.usage_errors());
        errors
    }
}

impl PoolArgs {
    fn kubernetes_errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let is_one = match self.kubernetes.as_slice() {
            [] => true,
            [pool] => pool.pools != PoolSelection::All,
            _ => false,
        };
        if self.pool.is_some() && !is_one {
            errors.push(
                "--pool names one pool; with several --kubernetes, or all pools of a namespace, each keeps its own name"
                    .to_owned(),
            );
        }
        if self.kubernetes.len() > MAX_POOLS {
            errors.push(format!(
                "{} --kubernetes, the limit is {MAX_POOLS}",
                self.kubernetes.len()
            ));
        }
        for (index, pool) in self.kubernetes.iter().enumerate() {
            let mut others = self.kubernetes.iter().enumerate().filter(|(other, _)| *other != index);
            let covering = others.find(|(other, found)| {
                let is_duplicate = *found == pool && *other < index;
                let covers = found.pools == PoolSelection::All && pool.pools != PoolSelection::All;
                is_duplicate || covers && found.namespace == pool.namespace
            });
            if let Some((_, covering)) = covering {
                errors.push(format!(
                    "--kubernetes {pool}: another --kubernetes {covering} covers it"
                ));
            }
        }
        errors
    }
}

fn queue_limit(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(limit) if limit > 0.0 && f64::is_finite(limit) => Ok(limit),
        _ => Err("expected a number greater than 0".to_owned()),
    }
}

fn engine(text: &str) -> Result<EngineChoice, String> {
    if text == "auto" {
        return Ok(EngineChoice::Auto);
    }
    text.parse()
        .map(EngineChoice::Configured)
        .map_err(|error| format!("{error}"))
}
