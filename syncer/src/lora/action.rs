//! Actions: what to do with one adapter, and the requests that do it.

use std::fmt;
use std::sync::Arc;

use super::config::AdapterSpec;
use super::request::Request;

/// What to do with one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load an adapter that is not loaded.
    Load(AdapterSpec),
    /// Load a loaded adapter from another source, in place: it serves requests throughout.
    Reload(AdapterSpec),
    /// The same for a server that cannot reload in place: unload, then load.
    Replace(AdapterSpec),
    /// Unload the adapter of this id.
    Unload(Arc<str>),
}

// === impl Action ===

impl Action {
    /// The adapter's id.
    pub fn id(&self) -> &Arc<str> {
        match self {
            Self::Load(spec) | Self::Reload(spec) | Self::Replace(spec) => &spec.id,
            Self::Unload(id) => id,
        }
    }

    /// The adapter to load; none for [`Action::Unload`].
    pub fn spec(&self) -> Option<&AdapterSpec> {
        match self {
            Self::Load(spec) | Self::Reload(spec) | Self::Replace(spec) => Some(spec),
            Self::Unload(_) => None,
        }
    }

    /// The requests to send, each after the one before it has succeeded.
    pub fn requests(&self) -> Vec<Request> {
        match self {
            Self::Load(spec) => vec![Request::load(spec)],
            Self::Reload(spec) => vec![Request::reload(spec)],
            Self::Replace(spec) => vec![Request::unload(&spec.id), Request::load(spec)],
            Self::Unload(id) => vec![Request::unload(id)],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(AdapterSpec { id, source, .. }) => write!(f, "load {id} from {source}"),
            Self::Reload(AdapterSpec { id, source, .. }) => write!(f, "reload {id} from {source}"),
            Self::Replace(AdapterSpec { id, source, .. }) => write!(f, "unload {id}, then load it from {source}"),
            Self::Unload(id) => write!(f, "unload {id}"),
        }
    }
}
