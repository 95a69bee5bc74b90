//! The plan: the actions that bring a model server to the configuration. A function of the configuration, the server's
//! models, the history and the time.
//!
//! Invariant: an adapter in neither list, one in both lists, and a base model are left alone.

use std::sync::Arc;
use std::time::Instant;

use super::action::Action;
use super::api::LoraApi;
use super::config::{AdapterSpec, Config};
use super::history::History;
use super::observed::Models;

/// Loads in the order of the file, then unloads in the order of the file. No two actions concern the same adapter, so
/// none has to wait for another.
pub(super) fn plan(config: &Config, models: &Models, api: LoraApi, history: &History, now: Instant) -> Vec<Action> {
    let loads = config
        .desired
        .iter()
        .filter_map(|spec| load(spec, models, api, history, now));
    let is_due = |id: &str| history.retry(id).is_none_or(|retry| retry.at <= now);
    let unloads = config
        .excluded
        .iter()
        .filter(|id| models.adapters.contains_key(*id) && is_due(id))
        .map(|id| Action::Unload(Arc::clone(id)));
    loads.chain(unloads).collect()
}

fn load(spec: &AdapterSpec, models: &Models, api: LoraApi, history: &History, now: Instant) -> Option<Action> {
    let retry = history.retry(&spec.id);
    let is_due = retry.is_none_or(|retry| retry.at <= now);
    let previous = history.previous(spec);
    if models.adapters.contains_key(&spec.id) {
        return match history.is_current(spec, models) {
            true => None,
            false if api.has_reload() && !history.cannot_reload() => is_due.then(|| Action::Reload(spec.clone())),
            false => {
                let is_due = retry.is_none_or(|retry| retry.replace_at <= now);
                is_due.then(|| Action::Replace {
                    spec: spec.clone(),
                    previous: previous.cloned(),
                })
            }
        };
    }
    // The server rejects an adapter with the id of a base model.
    if models.base.contains(&spec.id) {
        return None;
    }
    // A source that fails takes nothing out of service for which there is another one.
    let restore_is_due = || history.restore_retry(&spec.id).is_none_or(|retry| retry.at <= now);
    match previous {
        Some(previous) if retry.is_some() && restore_is_due() => Some(Action::Restore(previous.clone())),
        _ => is_due.then(|| Action::Load(spec.clone())),
    }
}
