//! The role's state: events in, what is to be done and what is to be told out.
//!
//! One task writes a [`LoraState`]; a clone is the snapshot that readers keep. A pass is: `observed`, `plan`, and `started` for
//! each call that is made. Each of a call's requests is `answered`, in this pass or a later one: a call under way is not
//! planned again. What a server says that it has done counts once it shows in its list. An answer that comes while the
//! server is being asked is told after the list, which may be older.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Reason;
use super::config::Config;
use super::observed::Observed;
use super::plan::{self, Memory};
use super::request::{Call, Operation};
use super::response::{Failure, Outcome};

/// What is known at a moment.
#[derive(Clone, Debug, Default)]
pub struct LoraState {
    pub(super) config: Option<Arc<Config>>,
    /// Of the last file that was read.
    pub(super) config_valid: Option<bool>,
    pub(super) observed: Option<Observed>,
    pub(super) memory: Memory,
    /// Calls that the server has not answered, by adapter.
    pub(super) under_way: HashMap<Arc<str>, Call>,
    /// Requests by operation and result.
    pub(super) operations: BTreeMap<(Operation, &'static str), u64>,
    /// Since 1970.
    pub(super) last_success: Option<Duration>,
}

// === impl LoraState ===

impl LoraState {
    /// A good configuration was read.
    pub fn configured(&mut self, config: Config) {
        self.config_valid = Some(true);
        match &self.config {
            Some(before) if **before == config => return,
            Some(before) if before.server == config.server => self.memory.end_backoffs(),
            _ => {
                // Another server: calls to the one before are nothing to it.
                self.memory = Memory::default();
                self.observed = None;
                self.under_way.clear();
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

    /// Whether the server could be asked at the last pass, or why not. None before the first.
    pub fn server(&self) -> Option<Result<(), &Failure>> {
        self.observed.as_ref().map(|observed| match observed {
            Observed::Known(_) => Ok(()),
            Observed::Unknown(failure) => Err(failure),
        })
    }

    /// A pass has asked the server. `jitter`, from 0 to 1, makes back-offs differ.
    pub fn observed(&mut self, observed: Observed, now: Instant, jitter: f64) {
        match (&self.config, &observed) {
            (Some(config), Observed::Known(models)) => self.memory.observed(config, models, now, jitter),
            _ => self.memory.blinded(),
        }
        self.observed = Some(observed);
    }

    /// What is to be done and is not under way; nothing, as long as it isn't known what the server holds.
    pub fn plan(&self, now: Instant) -> Vec<Call> {
        let (Some(config), Some(Observed::Known(models))) = (&self.config, &self.observed) else {
            return Vec::new();
        };
        let mut calls = plan::plan(config, models, &self.memory, now);
        calls.retain(|call| !self.under_way.contains_key(call.id()));
        calls
    }

    /// A call is under way.
    pub fn started(&mut self, call: &Call) {
        self.under_way.insert(Arc::clone(call.id()), call.clone());
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
        let is_first_of_two = operation == Operation::Unload && call.adapter().is_some();
        if *outcome != Outcome::Done || !is_first_of_two {
            self.under_way.remove(call.id());
        }
    }

    /// The pass that has just asked the server did so at this time since 1970.
    pub fn observed_at(&mut self, at: Duration) {
        if self.ready().is_ok() {
            self.last_success = Some(at);
        }
    }
}
