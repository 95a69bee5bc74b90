//! Actions: what to do with one adapter, and the requests that do it.

use std::fmt;
use std::sync::Arc;

use super::api::LoraApi;
use super::config::AdapterSpec;
use super::request::{Operation, Request};
use super::response::Outcome;

/// What to do with one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load an adapter that is not loaded.
    Load(AdapterSpec),
    /// Load a loaded adapter from another source, in place: it serves requests throughout.
    Reload(AdapterSpec),
    /// The same for a server that cannot reload in place: unload, then load.
    Replace {
        /// As it should be loaded.
        spec: AdapterSpec,
        /// As it is loaded, if that is known: loaded again if `spec` cannot be loaded.
        previous: Option<AdapterSpec>,
    },
    /// Load an adapter that is not loaded from its last known source, because it cannot be loaded from the configured one.
    Restore(AdapterSpec),
    /// Unload the adapter of this id.
    Unload(Arc<str>),
}

// === impl Action ===

impl Action {
    /// The adapter's id.
    pub fn id(&self) -> &Arc<str> {
        match self {
            Self::Load(spec) | Self::Reload(spec) | Self::Restore(spec) | Self::Replace { spec, .. } => &spec.id,
            Self::Unload(id) => id,
        }
    }

    /// What the action's requests of this operation load; none for [`Operation::Unload`].
    pub(super) fn loads(&self, operation: Operation) -> Option<&AdapterSpec> {
        match (self, operation) {
            (_, Operation::Unload) | (Self::Unload(_), _) => None,
            (Self::Replace { previous, .. }, Operation::Restore) => previous.as_ref(),
            (Self::Load(spec) | Self::Reload(spec) | Self::Restore(spec) | Self::Replace { spec, .. }, _) => Some(spec),
        }
    }

    /// Whether it loads the adapter from its configured source.
    pub(super) fn loads_configured(&self) -> bool {
        matches!(self, Self::Load(_) | Self::Reload(_) | Self::Replace { .. })
    }

    /// The request to send after those before it have had these outcomes; none if the action is complete.
    pub fn next_request(&self, api: LoraApi, outcomes: &[(Operation, Outcome)]) -> Option<Request> {
        let outcomes: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome).collect();
        match (self, &*outcomes) {
            (Self::Load(spec), []) => Some(Request::load(api, spec)),
            (Self::Reload(spec), []) => Some(Request::reload(api, spec)),
            (Self::Restore(spec), []) => Some(Request::restore(api, spec)),
            (Self::Unload(id), []) => Some(Request::unload(api, id)),
            (Self::Replace { spec, .. }, []) => Some(Request::unload(api, &spec.id)),
            (Self::Replace { spec, .. }, [Outcome::Succeeded]) => Some(Request::load(api, spec)),
            // After a timeout too: the server handles the two loads one after the other, and rejects the second one if the
            // first has taken effect.
            (
                Self::Replace {
                    previous: Some(previous),
                    ..
                },
                [Outcome::Succeeded, Outcome::Failed(_)],
            ) => Some(Request::restore(api, previous)),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(AdapterSpec { id, source, .. }) => write!(f, "load {id} from {source}"),
            Self::Reload(AdapterSpec { id, source, .. }) => write!(f, "reload {id} from {source}"),
            Self::Replace {
                spec: AdapterSpec { id, source, .. },
                ..
            } => write!(f, "unload {id}, then load it from {source}"),
            Self::Restore(AdapterSpec { id, source, .. }) => write!(f, "load {id} again from {source}"),
            Self::Unload(id) => write!(f, "unload {id}"),
        }
    }
}
