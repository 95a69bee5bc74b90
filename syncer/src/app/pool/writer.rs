//! [`write`], the task that applies discovery updates and scrapes to the state and publishes a [`Snapshot`] of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::envoys::EnvoyScrapers;
use super::scrapers::{PodAttempt, PodScrapers, ScraperConfig};
use crate::envoy_stats::EnvoyPage;
use crate::envoys::Envoys;
use crate::pool::Pools;
use crate::scrape_status::Attempt;
use crate::target::{Discovered, PoolId};

/// Attempts that are applied before a snapshot is published, instead of one snapshot per attempt.
const MAX_BATCH: usize = 256;

/// All state that is served.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub pools: Pools,
    pub envoys: Envoys,
    /// Whether everything had been scraped once. It stays: a target that is added later and hangs takes no syncer out of
    /// service.
    pub was_ready: bool,
}

/// What the writer receives.
pub(super) struct Inputs {
    pub discovered: mpsc::Receiver<(PoolId, Discovered)>,
    pub pods: mpsc::Receiver<PodAttempt>,
    pub discovered_envoys: mpsc::Receiver<Discovered>,
    pub envoys: mpsc::Receiver<(Arc<str>, Attempt<EnvoyPage>)>,
}

/// Publishes snapshots until no receiver is left. Dropping the future aborts the scrapers.
pub(super) async fn write(
    mut inputs: Inputs,
    config: ScraperConfig,
    mut envoy_scrapers: EnvoyScrapers,
    snapshot: watch::Sender<Snapshot>,
) {
    let mut state = snapshot.borrow().clone();
    let mut scrapers: HashMap<PoolId, PodScrapers> = HashMap::new();
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        tokio::select! {
            Some((pool, discovered)) = inputs.discovered.recv() => {
                log(&pool, &discovered, &state);
                let is_removed = discovered == Discovered::Removed;
                state.pools.discovered(&pool, discovered, now());
                if is_removed {
                    scrapers.remove(&pool);
                } else {
                    scrapers
                        .entry(pool.clone())
                        .or_insert_with(|| config.scrapers(pool.clone()))
                        .update(state.pools.targets(&pool));
                }
            }
            1.. = inputs.pods.recv_many(&mut batch, MAX_BATCH) => {
                for PodAttempt { pool, target, attempt } in batch.drain(..) {
                    state.pools.scraped(&pool, &target, attempt);
                }
            }
            Some(discovered) = inputs.discovered_envoys.recv() => {
                discovered_envoys(&mut state.envoys, discovered);
                envoy_scrapers.update(state.envoys.targets());
            }
            Some((name, attempt)) = inputs.envoys.recv() => {
                if let Err(error) = state.envoys.scraped(&name, attempt) {
                    tracing::warn!(%name, %error, "metrics of the Envoy are not served, retrying each interval");
                }
            }
            () = snapshot.closed() => return,
        }
        state.was_ready = state.ready().is_ok();
        snapshot.send_replace(state.clone());
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether the pods are known and each pod and Envoy has been scraped, or once had been.
    pub(super) fn ready(&self) -> Result<(), String> {
        if self.was_ready {
            return Ok(());
        }
        self.pools.ready()?;
        self.envoys.ready()
    }
}

fn log(pool: &PoolId, discovered: &Discovered, state: &Snapshot) {
    match discovered {
        // A list of pools has no pods.
        Discovered::Targets(_) if pool.is_list() => {}
        Discovered::Targets(targets) => {
            let previously = state.pools.targets(pool).count();
            tracing::info!(%pool, pods = targets.len(), previously, "discovered the pool's pods");
        }
        Discovered::Failing { why } if pool.is_list() => {
            tracing::warn!(%pool, error = why, "discovery of pools failed, keeping the last known ones");
        }
        Discovered::Failing { why } => {
            tracing::warn!(%pool, error = why, "discovery of pods failed, keeping the last known ones");
        }
        Discovered::Removed => tracing::info!(%pool, "the pool was deleted, its series end"),
    }
}

fn discovered_envoys(envoys: &mut Envoys, discovered: Discovered) {
    let previously = envoys.targets().count();
    match envoys.discovered(discovered, now()) {
        Ok(()) if previously == 0 && envoys.targets().count() == 0 => {}
        Ok(()) => tracing::info!(envoys = envoys.targets().count(), previously, "discovered the Envoys"),
        Err(error) => tracing::warn!(error, "discovery of Envoys failed, keeping the last known ones"),
    }
}

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
