//! The role's state: events in, what is to be done and what is to be told out.
//!
//! One task writes a [`Board`]; a clone is the snapshot that readers keep. A pass is: `observed`, `plan`, for each call
//! `started` and for each of its requests `answered`, then `finished`. Passes do not overlap, and a configuration comes
//! between them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Reason;
use super::answer::Outcome;
use super::config::{Adapter, Config};
use super::observed::Observed;
use super::plan::{self, Memory};
use super::request::{Call, Operation};

/// What is known at a moment.
#[derive(Clone, Debug, Default)]
pub struct Board {
    pub(super) config: Option<Arc<Config>>,
    /// Of the last file that was read.
    pub(super) config_valid: Option<bool>,
    pub(super) observed: Option<Observed>,
    pub(super) memory: Memory,
    /// Those that the server was asked to load and has not answered.
    pub(super) loading: HashSet<Arc<str>>,
    /// Requests by operation and result.
    pub(super) operations: BTreeMap<(Operation, &'static str), u64>,
    /// Since 1970.
    pub(super) last_success: Option<Duration>,
}

// === impl Board ===

impl Board {
    /// A good configuration was read.
    pub fn configured(&mut self, config: Config) {
        self.config_valid = Some(true);
        match &self.config {
            Some(before) if **before == config => return,
            Some(before) if before.server == config.server => self.memory.end_backoffs(),
            _ => {
                self.memory = Memory::default();
                self.observed = None;
            }
        }
        self.config = Some(Arc::new(config));
    }

    /// A file was read that can't be used. The last good configuration stays.
    pub fn misconfigured(&mut self) {
        self.config_valid = Some(false);
    }

    /// The last good configuration.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// A pass has asked the server.
    pub fn observed(&mut self, observed: Observed) {
        self.loading.clear();
        if let (Some(config), Observed::Known(models)) = (&self.config, &observed) {
            self.memory.observed(config, models);
        }
        self.observed = Some(observed);
    }

    /// What is to be done; nothing, as long as it isn't known what the server holds.
    pub fn plan(&self, now: Instant) -> Vec<Call> {
        match (&self.config, &self.observed) {
            (Some(config), Some(Observed::Known(models))) => plan::plan(config, models, &self.memory, now),
            _ => Vec::new(),
        }
    }

    /// A call is under way.
    pub fn started(&mut self, call: &Call) {
        self.loading
            .extend(call.adapter().map(|adapter| Arc::clone(&adapter.id)));
    }

    /// One of a call's requests was answered. `jitter`, from 0 to 1, makes back-offs differ.
    pub fn answered(&mut self, call: &Call, operation: Operation, outcome: &Outcome, now: Instant, jitter: f64) {
        let result = match outcome {
            Outcome::Done => "ok",
            Outcome::AlreadyLoaded { .. } => Reason::LoadRejected.as_str(),
            Outcome::Failed(failure) => failure.reason.as_str(),
        };
        *self.operations.entry((operation, result)).or_default() += 1;
        self.memory.answered(call, operation, outcome, now, jitter);
        let done = *outcome == Outcome::Done;
        if operation != Operation::Unload || !done {
            self.loading.remove(call.id());
        }
        // The answer is the server's word until it is asked again.
        let (true, Some(Observed::Known(models))) = (done, &mut self.observed) else {
            return;
        };
        match call.adapter().filter(|_| operation != Operation::Unload) {
            Some(Adapter { id, source, .. }) => _ = models.adapters.insert(Arc::clone(id), Some(Arc::clone(source))),
            None => _ = models.adapters.remove(call.id()),
        }
    }

    /// A pass has ended, at this time since 1970.
    pub fn finished(&mut self, at: Duration) {
        self.loading.clear();
        if self.ready().is_ok() {
            self.last_success = Some(at);
        }
    }
}
