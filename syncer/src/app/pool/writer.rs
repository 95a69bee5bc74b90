//! [`write`], the task that applies discovery updates and scrapes to the state and publishes a [`Snapshot`] of it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

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
    /// Whether everything had been scraped once. It stays: a target that is added later and hangs takes no syncer out of
    /// service.
    pub was_ready: bool,
}

/// What the writer receives.
pub(super) struct Inputs {
    pub discovered: mpsc::Receiver<Discovered>,
    pub pods: mpsc::Receiver<(Target, Attempt<ServerLoad>)>,
    pub envoys: mpsc::Receiver<(Arc<str>, Attempt<EnvoyPage>)>,
}

/// Publishes snapshots until no receiver is left. Dropping the future aborts the pods' scrapers.
pub(super) async fn write(mut inputs: Inputs, mut scrapers: PodScrapers, snapshot: watch::Sender<Snapshot>) {
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
            Some((name, attempt)) = inputs.envoys.recv() => state.envoys.scraped(&name, attempt),
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
        self.pool.ready()?;
        self.envoys.ready()
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

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
