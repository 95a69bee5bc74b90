//! The tasks that find Envoys, and those that scrape them, one per Envoy. A slow or dead Envoy delays no other.

use std::collections::HashMap;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;
use tokio::sync::mpsc::{self, Sender};
use tokio_util::task::AbortOnDropHandle;

use super::PoolError;
use super::scrapers::ScrapeLog;
use crate::cli::envoys::EnvoyArgs;
use crate::discovery::dns::{self, Resolver};
use crate::discovery::kubernetes;
use crate::envoy_stats::{self, EnvoyPage, stats_url};
use crate::envoys::Source;
use crate::scrape::fetch::Client;
use crate::scrape::schedule::{Schedule, Ticks, attempt};
use crate::scrape_status::{Attempt, Reason};
use crate::target::{Discovered, Target};
use crate::url::host_and_port;

/// The tasks that scrape Envoys. A task is aborted when its Envoy is removed, or when this is dropped.
#[derive(Debug)]
pub(super) struct EnvoyScrapers {
    client: Client,
    schedule: Schedule,
    attempts: Sender<(Arc<str>, Attempt<EnvoyPage>)>,
    tasks: HashMap<(Arc<str>, Uri), AbortOnDropHandle<()>>,
}

/// Where the Envoys come from.
pub(super) fn source(args: &EnvoyArgs) -> Source {
    if args.are_discovered() {
        Source::Discovery
    } else if args.envoys.len() == 1 {
        Source::One
    } else {
        Source::List
    }
}

/// Starts the source of Envoys.
pub(super) async fn discover(args: &EnvoyArgs) -> Result<mpsc::Receiver<Discovered>, PoolError> {
    let (out, discovered) = mpsc::channel(1);
    if let Some(name) = &args.envoy_dns {
        tokio::spawn(dns::watch(name.clone(), Scheme::HTTP, Resolver::system()?, out));
    } else if let Some(service) = &args.envoy_service {
        let client = kubernetes::client().await.map_err(PoolError::EnvoyService)?;
        tokio::spawn(kubernetes::watch_service(client, service.clone(), out));
    } else {
        let target = |url: &Uri| Target {
            name: Arc::from(host_and_port(url)),
            url: Some(url.clone()),
            ready: None,
            engine: None,
            role: None,
        };
        let targets = args.envoys.iter().map(target).collect();
        _ = out.send(Discovered::Targets(targets)).await;
    }
    Ok(discovered)
}

// === impl EnvoyScrapers ===

impl EnvoyScrapers {
    pub(super) fn new(client: Client, args: &EnvoyArgs, attempts: Sender<(Arc<str>, Attempt<EnvoyPage>)>) -> Self {
        Self {
            client,
            schedule: Schedule {
                interval: args.envoy_interval,
                timeout: args.timeout(),
            },
            attempts,
            tasks: HashMap::new(),
        }
    }

    /// Starts and aborts tasks so that exactly these Envoys are scraped.
    pub(super) fn update<'a>(&mut self, targets: impl Iterator<Item = &'a Target>) {
        let mut previous = std::mem::take(&mut self.tasks);
        for target in targets {
            let Some(url) = &target.url else { continue };
            let key = (Arc::clone(&target.name), stats_url(url));
            let task = previous
                .remove(&key)
                .unwrap_or_else(|| self.start(Arc::clone(&key.0), key.1.clone()));
            self.tasks.insert(key, task);
        }
    }

    /// One task requests a page only after it has the last one, so an Envoy never renders two for it at once.
    fn start(&self, name: Arc<str>, url: Uri) -> AbortOnDropHandle<()> {
        let (client, attempts) = (self.client.clone(), self.attempts.clone());
        let Schedule { interval, timeout } = self.schedule;
        let task = async move {
            let mut ticks = Ticks::new(interval);
            let mut log = ScrapeLog::new("Envoy", Arc::clone(&name), None);
            loop {
                ticks.next().await;
                let attempt = attempt(&client, &url, timeout, |page| envoy_stats::read(page.body.pieces())).await;
                log.record(&attempt);
                let failure = attempt.result.as_ref().err().map(|error| error.reason);
                if attempts.send((Arc::clone(&name), attempt)).await.is_err() {
                    return;
                }
                // The timeout may be the whole interval. An Envoy that cannot keep up gets time for its connections, and the
                // next scrape still ends before its last metrics are stale.
                if failure == Some(Reason::Timeout) {
                    tokio::time::sleep(interval / 2).await;
                }
            }
        };
        AbortOnDropHandle::new(tokio::spawn(task))
    }
}
