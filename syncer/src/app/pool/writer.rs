//! [`write`], the task that applies discovery updates and scrapes to the state and publishes a [`Snapshot`] of it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::envoys::EnvoyScrapers;
use super::scrapers::PodScrapers;
use crate::engine::ServerLoad;
use crate::envoy_stats::EnvoyPage;
use crate::envoys::Envoys;
use crate::pool::Pool;
use crate::scrape_status::Attempt;
use crate::target::{Discovered, Target};

/// Attempts that are applied before a snapshot is published, instead of one snapshot per attempt.
const MAX_BATCH: usize = 256;

/// All state that is served.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub pool: Pool,
    pub envoys: Envoys,
}

/// What the writer receives.
pub(super) struct Inputs {
    pub discovered: mpsc::Receiver<Discovered>,
    pub pods: mpsc::Receiver<(Target, Attempt<ServerLoad>)>,
    pub discovered_envoys: mpsc::Receiver<Discovered>,
    pub envoys: mpsc::Receiver<(Arc<str>, Attempt<EnvoyPage>)>,
}

/// Publishes snapshots until no receiver is left. Dropping the future aborts the scrapers.
pub(super) async fn write(
    mut inputs: Inputs,
    mut scrapers: PodScrapers,
    mut envoy_scrapers: EnvoyScrapers,
    snapshot: watch::Sender<Snapshot>,
) {
    let mut state = snapshot.borrow().clone();
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        tokio::select! {
            Some(discovered) = inputs.discovered.recv() => {
                log(&discovered, &state);
                state.pool.discovered(discovered, now());
                scrapers.update(state.pool.targets());
            }
            1.. = inputs.pods.recv_many(&mut batch, MAX_BATCH) => {
                for (target, attempt) in batch.drain(..) {
                    state.pool.scraped(&target, attempt);
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
        snapshot.send_replace(state.clone());
    }
}

fn log(discovered: &Discovered, state: &Snapshot) {
    match discovered {
        Discovered::Targets(targets) => {
            let previously = state.pool.targets().count();
            tracing::info!(pods = targets.len(), previously, "discovered the pool's pods");
        }
        Discovered::Failing { why } => {
            tracing::warn!(error = why, "discovery of pods failed, keeping the last known ones");
        }
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
