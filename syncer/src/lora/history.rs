//! What past operations have shown and the server's list of models does not show: sources, retries, successes that the
//! list has yet to confirm.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::Reason;
use super::action::Action;
use super::config::{AdapterSpec, Config};
use super::observed::Models;
use super::request::Operation;
use super::response::{Outcome, RequestError};
use super::retry::Retry;

/// Past operations on one server. All maps are by adapter id.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Where loaded adapters were loaded from. None after a failed load: it may have taken effect all the same, as when
    /// only its response was lost.
    sources: HashMap<Arc<str>, Option<Arc<str>>>,
    /// Adapters whose last operation failed.
    retries: HashMap<Arc<str>, Retry>,
    /// Operations that the server reports as successful, until the next list confirms or refutes them.
    unconfirmed: HashMap<Arc<str>, Operation>,
    /// The server has rejected a reload in place.
    cannot_reload: bool,
}

// === impl History ===

impl History {
    /// Ends all backoffs: the configuration has changed, and whoever changed it waits for the effect.
    pub fn reset_retries(&mut self) {
        self.retries.clear();
    }

    /// The server has reported its models. Those that it no longer reports are lost, as after a restart. Where another
    /// client has loaded an adapter, its source is what the server reports, else what is configured now, so that a later
    /// change is noticed.
    pub fn models_listed(&mut self, config: &Config, models: &Models, now: Instant, jitter: f64) {
        for (id, operation) in std::mem::take(&mut self.unconfirmed) {
            let (loaded, reason) = match operation {
                Operation::Load | Operation::Reload => (true, Reason::LoadFailed),
                Operation::Unload => (false, Reason::UnloadFailed),
            };
            if models.adapters.contains_key(&id) == loaded {
                self.retries.remove(&id);
            } else {
                let state = if loaded { "does not list" } else { "still lists" };
                let message = format!("the server reported success, but {state} the adapter");
                self.failed(&id, operation, RequestError { reason, message }, now, jitter);
            }
        }
        self.sources.retain(|id, _| models.adapters.contains_key(id));
        for spec in &config.desired {
            if let Some(root) = models.adapters.get(&spec.id) {
                let configured = || Some(Arc::clone(&spec.source));
                let source = self
                    .sources
                    .entry(Arc::clone(&spec.id))
                    .or_insert_with(|| root.clone().or_else(configured));
                *source = source.take().or_else(|| root.clone());
            }
        }
        // The server is reachable again.
        self.retries
            .retain(|_, retry| retry.error.reason != Reason::Unreachable);
    }

    /// The server could not be polled. It may have restarted since it reported a success.
    pub fn poll_failed(&mut self) {
        self.unconfirmed.clear();
    }

    /// A request of `action` has an outcome. `jitter`, from 0 to 1, spreads retries.
    pub fn completed(&mut self, action: &Action, operation: Operation, outcome: &Outcome, now: Instant, jitter: f64) {
        let id = action.id();
        match (operation, outcome) {
            (Operation::Load | Operation::Reload, Outcome::Succeeded) => {
                let source = action.spec().map(|spec| Arc::clone(&spec.source));
                self.sources.insert(Arc::clone(id), source);
                self.unconfirmed.insert(Arc::clone(id), operation);
            }
            (Operation::Unload, Outcome::Succeeded) => {
                self.sources.remove(id);
                self.unconfirmed.insert(Arc::clone(id), operation);
            }
            // The next plan has a replace instead.
            (Operation::Reload, Outcome::AlreadyLoaded { .. }) => self.cannot_reload = true,
            (_, Outcome::AlreadyLoaded { message }) => {
                let (reason, message) = (Reason::LoadRejected, message.clone());
                self.failed(id, operation, RequestError { reason, message }, now, jitter);
            }
            (_, Outcome::Failed(error)) => {
                self.unconfirmed.remove(id);
                if operation != Operation::Unload {
                    self.sources.insert(Arc::clone(id), None);
                }
                self.failed(id, operation, error.clone(), now, jitter);
            }
        }
    }

    /// Whether a loaded adapter comes from its configured source, by our own load, else by what the server reports. An
    /// adapter of unknown origin counts as current.
    pub fn is_current(&self, spec: &AdapterSpec, models: &Models) -> bool {
        match self.sources.get(&spec.id) {
            Some(source) => source.as_ref() == Some(&spec.source),
            None => {
                let root = models.adapters.get(&spec.id).and_then(Option::as_ref);
                root.is_none_or(|root| *root == spec.source)
            }
        }
    }

    pub fn cannot_reload(&self) -> bool {
        self.cannot_reload
    }

    /// The retry state of an adapter whose last operation failed.
    pub fn retry(&self, id: &str) -> Option<&Retry> {
        self.retries.get(id)
    }

    /// The last operation on the adapter, if the server reports success and no list has confirmed it.
    pub fn unconfirmed(&self, id: &str) -> Option<Operation> {
        self.unconfirmed.get(id).copied()
    }

    fn failed(&mut self, id: &Arc<str>, operation: Operation, error: RequestError, now: Instant, jitter: f64) {
        let retry = Retry::after(self.retries.get(id), operation, error, now, jitter);
        self.retries.insert(Arc::clone(id), retry);
    }
}
