//! The plan: the actions that bring a model server to the configuration. A function of the configuration, the server's
//! models, the history and the time.
//!
//! Invariant: an adapter in neither list, one in both lists, and a base model are left alone.

use std::sync::Arc;
use std::time::Instant;

use super::action::Action;
use super::config::{AdapterSpec, Config};
use super::history::History;
use super::observed::Models;

/// Loads in the order of the file, then unloads in the order of the file. No two actions concern the same adapter, so
/// none has to wait for another.
pub(super) fn plan(config: &Config, models: &Models, history: &History, now: Instant) -> Vec<Action> {
    let is_due = |id: &str| history.retry(id).is_none_or(|retry| retry.at <= now);
    let loads = config.desired.iter().filter_map(|spec| {
        let action: fn(AdapterSpec) -> Action = match models.adapters.get(&spec.id) {
            Some(_) if history.is_current(spec, models) => return None,
            Some(_) if history.cannot_reload() => Action::Replace,
            Some(_) => Action::Reload,
            // The server rejects an adapter with the id of a base model.
            None if models.base.contains(&spec.id) => return None,
            None => Action::Load,
        };
        is_due(&spec.id).then(|| action(spec.clone()))
    });
    let unloads = config
        .excluded
        .iter()
        .filter(|id| models.adapters.contains_key(*id) && is_due(id))
        .map(|id| Action::Unload(Arc::clone(id)));
    loads.chain(unloads).collect()
}
