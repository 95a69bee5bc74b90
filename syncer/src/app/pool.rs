//! The pool role at work. One task writes the state; readers have snapshots.
//!
//! ```text
//! source of targets ──▶ writer ──▶ snapshot ──▶ /metrics
//!                        │   ▲
//!                 starts ▼   │ attempts
//!                     a task for each pod and each Envoy
//! ```

mod scrapers;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::serving::{self, ServingError};
use crate::aliases::{self, AliasSet};
use crate::cli::pool::PoolArgs;
use crate::discovery::dns::{self, DnsConfigError, Resolver};
use crate::discovery::kubernetes::{self, ClientError};
use crate::discovery::target::host_and_port;
use crate::discovery::{Discovered, file};
use crate::exposition::{Family, Metric, Value};
use crate::http_client::tls::{self, TlsError};
use crate::pool::Pool;
use crate::proxies::Proxies;
use crate::scrape::fetch::Client;
use crate::scrape::schedule::Schedule;
use crate::serve::{Limits, Pages};
use crate::version::{BUILD_REF, COMMIT};
use scrapers::{PodScrapers, start_envoy};
use writer::{Inputs, write};

/// An Envoy's page has its own stats, too, and a pair of model names has some three hundred lines.
const MAX_ENVOY_PAGE_BYTES: usize = 64 * 1024 * 1024;
/// Attempts that wait for the writer, which takes all of them at once. Past it a scraper waits, and its next attempt with
/// it.
const ATTEMPTS_WAITING: usize = 1024;

/// Why the role ended otherwise than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The name servers are not known.
    #[error(transparent)]
    Dns(#[from] DnsConfigError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The API server that knows the pool.
    #[error("inference pool")]
    Kubernetes(#[from] ClientError),
    /// /metrics can't be served.
    #[error(transparent)]
    Serving(#[from] ServingError),
}

/// All that is served, at a moment.
#[derive(Clone, Debug)]
struct Snapshot {
    pool: Pool,
    proxies: Proxies,
}

/// What is served, from the last snapshot.
struct Metrics {
    snapshot: watch::Receiver<Snapshot>,
    aliases: Vec<AliasSet>,
}

/// Runs the role until `shutdown`.
///
/// # Errors
/// What keeps it from starting, or ends it.
pub async fn run(args: PoolArgs, shutdown: impl Future<Output = ()> + Send) -> Result<(), PoolError> {
    let server = serving::bind(args.listen, args.auth_mode(), &args.serve, Limits::default()).await?;
    let tls = tls::client_config(args.ca_file.as_deref())?;
    let schedule = Schedule {
        every: args.scrape_interval,
        timeout: args.timeout(),
    };
    let envoys: Vec<(Arc<str>, _)> = args
        .envoys
        .iter()
        .map(|url| (Arc::from(host_and_port(url)), url.clone()))
        .collect();
    let names = envoys.iter().map(|(name, _)| Arc::clone(name));
    let (written, snapshot) = watch::channel(Snapshot {
        pool: Pool::new(args.pool_name(), args.stale_after()),
        proxies: Proxies::new(names, args.stale_after()),
    });

    let (pod_attempts, pods) = mpsc::channel(ATTEMPTS_WAITING);
    let (envoy_attempts, envoy_pages) = mpsc::channel(ATTEMPTS_WAITING);
    let max_page_bytes = usize::try_from(args.max_page_bytes).unwrap_or(usize::MAX);
    let client = Client::new(max_page_bytes, tls.clone());
    let scrapers = PodScrapers::new(
        client,
        schedule,
        args.metrics_path.clone(),
        args.reading(),
        pod_attempts,
    );
    let envoy_client = Client::new(MAX_ENVOY_PAGE_BYTES, tls);
    let _envoy_tasks: Vec<_> = envoys
        .into_iter()
        .map(|(name, url)| start_envoy(name, url, envoy_client.clone(), schedule, envoy_attempts.clone()))
        .collect();
    let inputs = Inputs {
        discovered: discover(&args).await?,
        pods,
        envoys: envoy_pages,
    };
    let metrics = Arc::new(Metrics {
        snapshot,
        aliases: args.aliases.clone(),
    });
    let writing = write(inputs, scrapers, written);
    tokio::select! {
        () = server.run(metrics, shutdown) => {}
        // It goes on as long as there is somebody to serve.
        () = writing => {}
    }
    Ok(())
}

/// Starts the source of targets. A pool that has none is an empty one.
async fn discover(args: &PoolArgs) -> Result<mpsc::Receiver<Discovered>, PoolError> {
    let (out, discovered) = mpsc::channel(1);
    if let Some(path) = &args.targets_file {
        tokio::spawn(file::watch(path.clone(), out));
    } else if let Some(name) = &args.dns {
        tokio::spawn(dns::watch(name.clone(), Resolver::system()?, out));
    } else if let Some(pool) = &args.kubernetes {
        tokio::spawn(kubernetes::watch(kubernetes::client().await?, pool.clone(), out));
    } else {
        _ = out.send(Discovered::Targets(args.targets.clone())).await;
    }
    Ok(discovered)
}

// === impl PoolError ===

impl PoolError {
    /// Whether a person has to change the configuration.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Serving(ServingError::Serve(_)))
    }
}

// === impl Metrics ===

impl Pages for Metrics {
    fn families(&self) -> Vec<Family> {
        let now = tokio::time::Instant::now().into_std();
        let Snapshot { pool, proxies } = self.snapshot.borrow().clone();
        let mut families = proxies.families(now);
        families.extend(pool.families(now));
        families.push(info());
        aliases::add(&mut families, &self.aliases);
        families
    }

    fn ready(&self) -> Result<(), String> {
        let Snapshot { pool, proxies } = &*self.snapshot.borrow();
        pool.ready()?;
        proxies.ready()
    }
}

fn info() -> Family {
    const INFO: Metric = Metric::gauge("inference_extension_info", "What was built; always 1.");
    let labels = vec![("commit", Arc::from(COMMIT)), ("build_ref", Arc::from(BUILD_REF))];
    INFO.family([(labels, Value::Float(1.0))])
}
