//! What is to be done: a function of what is configured, what the server holds, what is remembered, and the time.
//!
//! Invariant: an adapter that stands in neither list, one that stands in both, and a base model are never touched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::Reason;
use super::backoff;
use super::config::{Adapter, Config};
use super::observed::Models;
use super::request::{Call, Operation};
use super::response::{Failure, Outcome};

/// What the server's answers told, and its list does not.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Where adapters were loaded from, by id; none where a load failed or its answer was lost, for it may have been done.
    /// Only of those that the server holds.
    sources: HashMap<Arc<str>, Option<Arc<str>>>,
    /// The failures since an adapter was last as it should be, by id. Only of those that were asked for.
    troubles: HashMap<Arc<str>, Trouble>,
    /// What the server says that it has done, by id, until its list shows whether it has.
    unconfirmed: HashMap<Arc<str>, Operation>,
    /// The server has refused to load one in place.
    cannot_reload: bool,
}

/// An adapter's failures in a row.
#[derive(Clone, Debug)]
struct Trouble {
    last: Failure,
    failures: u32,
    retry_at: Instant,
}

/// The calls that bring a server to what is configured: loads in the file's order, then unloads in theirs. They are of
/// different adapters, so that none need wait for another.
pub fn plan(config: &Config, models: &Models, memory: &Memory, now: Instant) -> Vec<Call> {
    let may_try = |id: &str| memory.troubles.get(id).is_none_or(|trouble| trouble.retry_at <= now);
    let loads = config.wanted.iter().filter_map(|adapter| {
        let call: fn(Adapter) -> Call = match models.adapters.get(&adapter.id) {
            Some(_) if memory.is_current(adapter, models) => return None,
            Some(_) if memory.cannot_reload => Call::Replace,
            Some(_) => Call::Reload,
            // The server refuses an adapter of a model's name.
            None if models.base.contains(&adapter.id) => return None,
            None => Call::Load,
        };
        may_try(&adapter.id).then(|| call(adapter.clone()))
    });
    let unloads = config
        .unwanted
        .iter()
        .filter(|id| models.adapters.contains_key(*id) && may_try(id))
        .map(|id| Call::Unload(Arc::clone(id)));
    loads.chain(unloads).collect()
}

// === impl Memory ===

impl Memory {
    /// The configuration is another one: whoever changed it wants to see what comes of it.
    pub fn end_backoffs(&mut self) {
        self.troubles.clear();
    }

    /// The server told what it holds. What it no longer holds was lost, as in a restart; and it can be reached. Where an
    /// adapter comes from that we did not load is the server's word, or what is configured now, so that a change is seen.
    pub fn observed(&mut self, config: &Config, models: &Models, now: Instant, jitter: f64) {
        for (id, operation) in std::mem::take(&mut self.unconfirmed) {
            let (should_be_held, reason) = match operation {
                Operation::Load | Operation::Reload => (true, Reason::LoadFailed),
                Operation::Unload => (false, Reason::UnloadFailed),
            };
            if models.adapters.contains_key(&id) == should_be_held {
                self.troubles.remove(&id);
            } else {
                let why = "the server said that it was done, and its list of models says otherwise".to_owned();
                self.failed(&id, Failure { reason, why }, now, jitter);
            }
        }
        self.sources.retain(|id, _| models.adapters.contains_key(id));
        for adapter in &config.wanted {
            if let Some(root) = models.adapters.get(&adapter.id) {
                let configured = || Some(Arc::clone(&adapter.source));
                let source = self
                    .sources
                    .entry(Arc::clone(&adapter.id))
                    .or_insert_with(|| root.clone().or_else(configured));
                *source = source.take().or_else(|| root.clone());
            }
        }
        self.troubles
            .retain(|_, trouble| trouble.last.reason != Reason::Unreachable);
    }

    /// It can't be told what the server holds: it may have been restarted, and what it said before counts no more.
    pub fn blinded(&mut self) {
        self.unconfirmed.clear();
    }

    /// What the server says that it has done to this one, and has not shown.
    pub(super) fn unconfirmed(&self, id: &str) -> Option<Operation> {
        self.unconfirmed.get(id).copied()
    }

    /// A request of a call was answered. `jitter`, from 0 to 1, makes back-offs differ.
    pub fn answered(&mut self, call: &Call, operation: Operation, outcome: &Outcome, now: Instant, jitter: f64) {
        let id = call.id();
        match (operation, outcome) {
            (Operation::Load | Operation::Reload, Outcome::Done) => {
                let source = call.adapter().map(|adapter| Arc::clone(&adapter.source));
                self.sources.insert(Arc::clone(id), source);
                self.unconfirmed.insert(Arc::clone(id), operation);
            }
            (Operation::Unload, Outcome::Done) => {
                self.sources.remove(id);
                self.unconfirmed.insert(Arc::clone(id), operation);
            }
            // The next pass replaces it.
            (Operation::Reload, Outcome::AlreadyLoaded { .. }) => self.cannot_reload = true,
            (_, Outcome::AlreadyLoaded { why }) => {
                let (reason, why) = (Reason::LoadRejected, why.clone());
                self.failed(id, Failure { reason, why }, now, jitter);
            }
            (_, Outcome::Failed(failure)) => {
                self.unconfirmed.remove(id);
                if operation != Operation::Unload {
                    self.sources.insert(Arc::clone(id), None);
                }
                self.failed(id, failure.clone(), now, jitter);
            }
        }
    }

    fn failed(&mut self, id: &Arc<str>, last: Failure, now: Instant, jitter: f64) {
        let before = self.troubles.get(id).map_or(0, |trouble| trouble.failures);
        let failures = before.saturating_add(1);
        let trouble = Trouble {
            last,
            failures,
            retry_at: now + backoff::delay(failures, jitter),
        };
        self.troubles.insert(Arc::clone(id), trouble);
    }

    /// Whether a loaded adapter comes from where it is configured to come from: by our own memory of loading it, else by
    /// what the server says. One that we did not load and of which it says nothing is left as it is.
    pub(super) fn is_current(&self, adapter: &Adapter, models: &Models) -> bool {
        match self.sources.get(&adapter.id) {
            Some(source) => source.as_ref() == Some(&adapter.source),
            None => {
                let source = models.adapters.get(&adapter.id).and_then(Option::as_ref);
                source.is_none_or(|source| *source == adapter.source)
            }
        }
    }

    /// Why the last call for an adapter came to nothing, as long as none has succeeded.
    pub(super) fn failure(&self, id: &str) -> Option<&Failure> {
        self.troubles.get(id).map(|trouble| &trouble.last)
    }
}
