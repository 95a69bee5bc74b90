//! The role's state: events in, planned actions and adapter statuses out.
//!
//! One task writes a [`LoraState`]; readers get clones. A pass is `polled`, `plan`, and `action_started` for each action
//! that starts. Each of its requests is `request_completed`, in the same pass or a later one; an action in flight is not
//! planned again. A success that the server reports counts once its list of models confirms it. A request that completes
//! during a poll is recorded after the poll, because the list may be older than the response.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::Action;
use super::config::Config;
use super::history::History;
use super::observed::Observed;
use super::plan;
use super::request::Operation;
use super::response::{Outcome, RequestError};

/// Configuration, observed state, history and operations in flight. [`super::status`] derives statuses and metrics.
#[derive(Clone, Debug, Default)]
pub struct LoraState {
    /// The last valid configuration.
    pub(super) config: Option<Arc<Config>>,
    /// Whether the file was valid when last read.
    pub(super) config_valid: Option<bool>,
    pub(super) observed: Option<Observed>,
    pub(super) history: History,
    /// By adapter id.
    pub(super) in_flight: HashMap<Arc<str>, Action>,
    /// Completed requests by operation and result.
    pub(super) operations: BTreeMap<(Operation, &'static str), u64>,
    /// Since the Unix epoch.
    pub(super) last_success: Option<Duration>,
}

// === impl LoraState ===

impl LoraState {
    /// A valid configuration was read.
    pub fn config_accepted(&mut self, config: Config) {
        self.config_valid = Some(true);
        match &self.config {
            Some(current) if **current == config => return,
            Some(current) if current.server == config.server => self.history.reset_retries(),
            _ => {
                // What is known, and what is in flight, concerns another server.
                self.history = History::default();
                self.observed = None;
                self.in_flight.clear();
            }
        }
        self.config = Some(Arc::new(config));
    }

    /// An unreadable or invalid configuration was read. The last valid one stays in effect.
    pub fn config_rejected(&mut self) {
        self.config_valid = Some(false);
    }

    /// The last valid configuration.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// The result of the last poll of the server. None before the first one.
    pub fn last_poll(&self) -> Option<Result<(), &RequestError>> {
        self.observed.as_ref().map(|observed| match observed {
            Observed::Known(_) => Ok(()),
            Observed::Unknown(error) => Err(error),
        })
    }

    /// A poll of the server has completed. `jitter`, from 0 to 1, spreads retries.
    pub fn polled(&mut self, observed: Observed, now: Instant, jitter: f64) {
        match (&self.config, &observed) {
            (Some(config), Observed::Known(models)) => self.history.models_listed(config, models, now, jitter),
            _ => self.history.poll_failed(),
        }
        self.observed = Some(observed);
    }

    /// The wall-clock time of the last poll, since the Unix epoch.
    pub fn polled_at(&mut self, at: Duration) {
        if self.ready().is_ok() {
            self.last_success = Some(at);
        }
    }

    /// Actions that are due and not in flight. None while the server's models are unknown.
    pub fn plan(&self, now: Instant) -> Vec<Action> {
        let (Some(config), Some(Observed::Known(models))) = (&self.config, &self.observed) else {
            return Vec::new();
        };
        let mut actions = plan::plan(config, models, &self.history, now);
        actions.retain(|action| !self.in_flight.contains_key(action.id()));
        actions
    }

    /// The first request of an action is being sent.
    pub fn action_started(&mut self, action: &Action) {
        self.in_flight.insert(Arc::clone(action.id()), action.clone());
    }

    /// A request of an action has completed. `jitter`, from 0 to 1, spreads retries.
    pub fn request_completed(
        &mut self,
        action: &Action,
        operation: Operation,
        outcome: &Outcome,
        now: Instant,
        jitter: f64,
    ) {
        *self.operations.entry((operation, outcome.result())).or_default() += 1;
        self.history.completed(action, operation, outcome, now, jitter);
        let load_follows = operation == Operation::Unload && action.spec().is_some();
        if *outcome != Outcome::Succeeded || !load_follows {
            self.in_flight.remove(action.id());
        }
    }
}
