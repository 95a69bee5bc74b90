//! Runs the pool role. One task writes the state; requests read snapshots and never wait for a scrape.
//!
//! ```text
//! sources ────targets──▶ writer ──▶ snapshot ──▶ /metrics
//!                        │    ▲
//!                 starts ▼    │ attempts
//!              one scraper per pod and per Envoy
//! ```

mod access;
mod envoys;
mod scrapers;
mod sources;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::serving::{self, ServingError};
use crate::aliases::{self, AliasSet};
use crate::cli::pool::PoolArgs;
use crate::discovery::dns::DnsConfigError;
use crate::discovery::kubernetes::ClientError;
use crate::envoys::Envoys;
use crate::exposition::{Family, Metric, Value};
use crate::file::Reload;
use crate::http_client::access::AccessError;
use crate::pool::Pools;
use crate::scrape::schedule::Schedule;
use crate::serve::{Limits, Pages};
use crate::version::{BUILD_REF, COMMIT};
use envoys::EnvoyScrapers;
use scrapers::ScraperConfig;
use sources::Sources;
use writer::{Inputs, Snapshot, write};

/// Attempts that are queued for the writer, which takes up to 256 at once. If the queue is full, scrapers wait.
const ATTEMPT_QUEUE: usize = 1024;

/// Why the role could not start.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The DNS configuration of the system is invalid.
    #[error(transparent)]
    Dns(#[from] DnsConfigError),
    /// A certificate, key or token for scrapes cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// There is no Kubernetes client for `--kubernetes`.
    #[error("--kubernetes")]
    Kubernetes(#[from] ClientError),
    /// There is no Kubernetes client for `--envoy-service`.
    #[error("--envoy-service")]
    EnvoyService(#[source] ClientError),
    /// `/metrics` cannot be served.
    #[error(transparent)]
    Serving(#[from] ServingError),
}

/// Serves the last snapshot.
struct Metrics {
    snapshot: watch::Receiver<Snapshot>,
    aliases: Vec<AliasSet>,
}

/// Runs the role until `shutdown` completes. A `reload` reads the targets file and the certificates at once.
///
/// # Errors
/// If it cannot start.
pub async fn run(args: PoolArgs, shutdown: impl Future<Output = ()> + Send, reload: Reload) -> Result<(), PoolError> {
    let limits = Limits::default();
    let server = serving::bind(args.listen, args.auth_mode(), &args.serve, limits, reload.clone()).await?;
    let pod_client = access::pods(&args).await?;
    let envoy_client = access::envoys(&args).await?;
    let schedule = Schedule {
        interval: args.scrape_interval,
        timeout: args.timeout(),
    };
    let Sources { pools, updates } = sources::start(&args, reload).await?;
    let (written, snapshot) = watch::channel(Snapshot {
        pools: Pools::new(pools, args.pool.as_deref(), args.pool_settings()),
        envoys: Envoys::new(envoys::source(&args.envoy), args.envoy.stale_after()),
        was_ready: false,
    });

    let (pod_attempts, pods) = mpsc::channel(ATTEMPT_QUEUE);
    let (envoy_attempts, envoy_pages) = mpsc::channel(ATTEMPT_QUEUE);
    let scrapers = ScraperConfig {
        client: pod_client.client.clone(),
        schedule,
        default_path: args.access.metrics_path.clone(),
        options: args.engine_options(),
        attempts: pod_attempts,
    };
    let envoy_scrapers = EnvoyScrapers::new(envoy_client.client.clone(), &args.envoy, envoy_attempts);
    let inputs = Inputs {
        discovered: updates,
        pods,
        discovered_envoys: envoys::discover(&args.envoy).await?,
        envoys: envoy_pages,
    };
    let metrics = Arc::new(Metrics {
        snapshot,
        aliases: args.aliases.clone(),
    });
    let writing = write(inputs, scrapers, envoy_scrapers, written);
    tokio::select! {
        () = server.run(metrics, shutdown) => {}
        // The writer runs as long as `metrics` has the receiver.
        () = writing => {}
    }
    Ok(())
}

// === impl PoolError ===

impl PoolError {
    /// Whether the configuration must be changed, which is exit code 64.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Serving(ServingError::Serve(_)))
    }
}

// === impl Metrics ===

impl Pages for Metrics {
    fn families(&self) -> Vec<Family> {
        let now = tokio::time::Instant::now().into_std();
        let Snapshot {
            pools,
            envoys,
            was_ready: _,
        } = self.snapshot.borrow().clone();
        let mut families = envoys.families(now);
        families.extend(pools.families(now));
        families.push(info());
        aliases::add(&mut families, &self.aliases);
        if self.aliases.contains(&AliasSet::LlmDEpp) {
            families.extend(pools.std_dev_families(now));
        }
        families
    }

    fn ready(&self) -> Result<(), String> {
        self.snapshot.borrow().ready()
    }
}

fn info() -> Family {
    const INFO: Metric = Metric::gauge(
        "inference_extension_info",
        "Commit and ref of the syncer's build; always 1.",
    );
    let labels = vec![("commit", Arc::from(COMMIT)), ("build_ref", Arc::from(BUILD_REF))];
    INFO.family([(labels, Value::Float(1.0))])
}
