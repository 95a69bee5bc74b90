//! The one task that writes the state.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::Snapshot;
use super::scrapers::PodScrapers;
use crate::discovery::{Discovered, Target};
use crate::engine::ServerLoad;
use crate::envoy::EnvoyPage;
use crate::scrape::schedule::Attempt;

/// Attempts that are taken at once; a snapshot is made after each such lot, not after each attempt.
const LOT: usize = 256;

/// What the writer listens to.
pub(super) struct Inputs {
    pub discovered: mpsc::Receiver<Discovered>,
    pub pods: mpsc::Receiver<(Target, Attempt<ServerLoad>)>,
    pub envoys: mpsc::Receiver<(Arc<str>, Attempt<EnvoyPage>)>,
}

/// Brings the snapshot up to date until nobody wants it. Whoever drops this ends the scrapers, too.
pub(super) async fn write(mut inputs: Inputs, mut scrapers: PodScrapers, snapshot: watch::Sender<Snapshot>) {
    let mut state = snapshot.borrow().clone();
    let mut lot = Vec::with_capacity(LOT);
    loop {
        tokio::select! {
            Some(discovered) = inputs.discovered.recv() => {
                log(&discovered, &state);
                state.pool.discovered(discovered, now());
                scrapers.follow(state.pool.targets());
            }
            1.. = inputs.pods.recv_many(&mut lot, LOT) => {
                for (target, attempt) in lot.drain(..) {
                    state.pool.scraped(&target, attempt);
                }
            }
            Some((name, attempt)) = inputs.envoys.recv() => state.proxies.scraped(&name, attempt),
            () = snapshot.closed() => return,
        }
        snapshot.send_replace(state.clone());
    }
}

fn log(discovered: &Discovered, state: &Snapshot) {
    match discovered {
        Discovered::Targets(targets) => {
            let before = state.pool.targets().count();
            tracing::info!(pods = targets.len(), before, "the pool's pods are known");
        }
        Discovered::Failing { why } => {
            tracing::warn!(why, "the pool's pods cannot be found; the last known ones stay");
        }
    }
}

/// The clock of the runtime, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
