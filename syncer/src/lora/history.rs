//! What past operations on one server have shown and its list of models does not show: sources, retries, successes that
//! the list has yet to confirm.
//!
//! Invariant: an adapter is current only by what the server lists now. Our own load of it counts while the server reports
//! the `root` that it reported just after that load.

mod source;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::Reason;
use super::action::Action;
use super::config::{AdapterSpec, Config};
use super::observed::Models;
use super::request::Operation;
use super::response::{Outcome, RequestError};
use super::retry::Retry;
use source::Sources;

/// Past operations on one server. All maps are by adapter id.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    sources: Sources,
    /// Adapters whose last load from the configured source, or whose last unload, failed.
    retries: HashMap<Arc<str>, Retry>,
    /// Adapters whose last [`Operation::Restore`] failed.
    restores: HashMap<Arc<str>, Retry>,
    /// Operations that the server reports as successful, until the next list confirms or refutes them.
    unconfirmed: HashMap<Arc<str>, Operation>,
    /// The server has rejected a reload in place since its last restart.
    cannot_reload: bool,
}

// === impl History ===

impl History {
    /// The configuration has changed. Whoever changed it waits for the effect, so all backoffs end.
    pub fn config_changed(&mut self, config: &Config) {
        self.retries.clear();
        self.restores.clear();
        let desired: HashSet<_> = config.desired.iter().map(|spec| &*spec.id).collect();
        self.sources.retain_known(&desired);
    }

    /// The server has reported its models.
    pub fn models_listed(&mut self, config: &Config, models: &Models, now: Instant, jitter: f64) {
        for (id, operation) in std::mem::take(&mut self.unconfirmed) {
            let (loaded, reason) = match operation {
                Operation::Load | Operation::Reload | Operation::Restore => (true, Reason::LoadFailed),
                Operation::Unload => (false, Reason::UnloadFailed),
            };
            if models.adapters.contains_key(&id) != loaded {
                let state = if loaded { "does not list" } else { "still lists" };
                let message = format!("the server reported success, but {state} the adapter");
                self.failed(&id, operation, false, RequestError { reason, message }, now, jitter);
            } else if operation == Operation::Restore {
                self.restores.remove(&id);
            } else if self
                .retry(&id)
                .is_some_and(|retry| loaded || retry.operation == operation)
            {
                self.retries.remove(&id);
            }
        }
        if self.sources.listed(config, models) {
            self.server_restarted();
        }
        for spec in &config.desired {
            if models.adapters.contains_key(&spec.id) && self.is_current(spec, models) {
                self.retries.remove(&spec.id);
                self.restores.remove(&spec.id);
            }
        }
        // The server is reachable again.
        for retries in [&mut self.retries, &mut self.restores] {
            retries.retain(|_, retry| retry.error.reason != Reason::Unreachable);
        }
    }

    /// The server could not be polled. It may have restarted since it was last polled.
    pub fn poll_failed(&mut self) {
        self.unconfirmed.clear();
        self.sources.outage();
        self.server_restarted();
    }

    /// The first request of `action` is being sent. It may take effect at any time from now on.
    pub fn started(&mut self, action: &Action) {
        self.sources.load_may_change(action.id());
    }

    /// The requests of `action` have these outcomes. `jitter`, from 0 to 1, spreads retries.
    pub fn completed(&mut self, action: &Action, outcomes: &[(Operation, Outcome)], now: Instant, jitter: f64) {
        let id = action.id();
        for (operation, outcome) in outcomes {
            match (operation, outcome) {
                (operation, Outcome::Succeeded) => {
                    match action.loads(*operation) {
                        Some(spec) => self.sources.loaded(spec),
                        None => self.sources.unloaded(id),
                    }
                    self.unconfirmed.insert(Arc::clone(id), *operation);
                }
                // The next plan has a replace instead.
                (Operation::Reload, Outcome::AlreadyLoaded { .. }) => self.cannot_reload = true,
                (operation, Outcome::AlreadyLoaded { message }) => {
                    let (reason, message) = (Reason::LoadRejected, message.clone());
                    // It is loaded, from wherever: not what was unloaded before.
                    self.unconfirmed.remove(id);
                    self.failed(id, *operation, false, RequestError { reason, message }, now, jitter);
                }
                (operation, Outcome::Failed(error)) => {
                    // A load that fails after an unload takes nothing back of what the unload has shown.
                    let after_unload = matches!(action, Action::Replace { .. }) && *operation != Operation::Unload;
                    if !after_unload {
                        self.unconfirmed.remove(id);
                    }
                    if *operation != Operation::Unload {
                        self.sources.load_may_change(id);
                    }
                    self.failed(id, *operation, after_unload, error.clone(), now, jitter);
                }
            }
        }
    }

    /// Whether a listed adapter comes from its configured source: by our own load, else by the `root` that the server
    /// reports.
    pub fn is_current(&self, spec: &AdapterSpec, models: &Models) -> bool {
        self.sources.is_current(spec, models)
    }

    /// What the adapter was last loaded from on this server, if that is not the configured source.
    pub fn previous(&self, spec: &AdapterSpec) -> Option<&AdapterSpec> {
        self.sources.known(&spec.id).filter(|known| known.source != spec.source)
    }

    pub fn cannot_reload(&self) -> bool {
        self.cannot_reload
    }

    /// The retry state of an adapter whose last operation failed.
    pub fn retry(&self, id: &str) -> Option<&Retry> {
        self.retries.get(id)
    }

    /// The retry state of an adapter whose last load from the known source failed.
    pub fn restore_retry(&self, id: &str) -> Option<&Retry> {
        self.restores.get(id)
    }

    /// The last operation on the adapter, if the server reports success and no list has confirmed it.
    pub fn unconfirmed(&self, id: &str) -> Option<Operation> {
        self.unconfirmed.get(id).copied()
    }

    /// The next version may be able to reload in place.
    fn server_restarted(&mut self) {
        self.cannot_reload = false;
    }

    fn failed(
        &mut self,
        id: &Arc<str>,
        operation: Operation,
        after_unload: bool,
        error: RequestError,
        now: Instant,
        jitter: f64,
    ) {
        let retries = match operation {
            Operation::Restore => &mut self.restores,
            Operation::Load | Operation::Reload | Operation::Unload => &mut self.retries,
        };
        let retry = Retry::after(retries.get(id), operation, after_unload, error, now, jitter);
        retries.insert(Arc::clone(id), retry);
    }
}
