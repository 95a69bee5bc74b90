//! The calls that change a server, as values: what is to be done to an adapter, and the requests that do it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::config::Adapter;

/// What is to be done to one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Loads one that is not loaded.
    Load(Adapter),
    /// Loads one from another source while it serves: requests find it all the time.
    Reload(Adapter),
    /// The same on a server that can't reload: unloads it, then loads it.
    Replace(Adapter),
    /// Unloads it.
    Unload(Arc<str>),
}

/// A request to the server, a `POST` of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub operation: Operation,
    /// Its path.
    pub path: &'static str,
    /// Its body.
    pub body: String,
}

/// What a request does: the label `operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Loads an adapter.
    Load,
    /// Loads one in place of the one of the same name.
    Reload,
    /// Unloads one.
    Unload,
}

#[derive(Serialize)]
struct Load<'a> {
    lora_name: &'a str,
    lora_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model_name: Option<&'a str>,
    /// Older servers don't know it, and need not see it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    load_inplace: bool,
}

#[derive(Serialize)]
struct Unload<'a> {
    lora_name: &'a str,
}

// === impl Call ===

impl Call {
    /// The adapter.
    pub fn id(&self) -> &Arc<str> {
        match self {
            Self::Load(adapter) | Self::Reload(adapter) | Self::Replace(adapter) => &adapter.id,
            Self::Unload(id) => id,
        }
    }

    /// What is to be loaded, if something is.
    pub fn adapter(&self) -> Option<&Adapter> {
        match self {
            Self::Load(adapter) | Self::Reload(adapter) | Self::Replace(adapter) => Some(adapter),
            Self::Unload(_) => None,
        }
    }

    /// What to send, one after the other, as long as they succeed.
    pub fn requests(&self) -> Vec<Request> {
        match self {
            Self::Load(adapter) => vec![load(Operation::Load, adapter)],
            Self::Reload(adapter) => vec![load(Operation::Reload, adapter)],
            Self::Replace(adapter) => vec![unload(&adapter.id), load(Operation::Load, adapter)],
            Self::Unload(id) => vec![unload(id)],
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(Adapter { id, source, .. }) => write!(f, "load {id} from {source}"),
            Self::Reload(Adapter { id, source, .. }) => write!(f, "reload {id} from {source}"),
            Self::Replace(Adapter { id, source, .. }) => write!(f, "unload {id} and load it from {source}"),
            Self::Unload(id) => write!(f, "unload {id}"),
        }
    }
}

// === impl Operation ===

impl Operation {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Reload => "reload",
            Self::Unload => "unload",
        }
    }
}

fn load(operation: Operation, adapter: &Adapter) -> Request {
    let Adapter { id, source, base_model } = adapter;
    Request {
        operation,
        path: "/v1/load_lora_adapter",
        body: json(&Load {
            lora_name: id,
            lora_path: source,
            base_model_name: base_model.as_deref(),
            load_inplace: operation == Operation::Reload,
        }),
    }
}

fn unload(id: &str) -> Request {
    Request {
        operation: Operation::Unload,
        path: "/v1/unload_lora_adapter",
        body: json(&Unload { lora_name: id }),
    }
}

fn json(body: &impl Serialize) -> String {
    // Texts and flags always make JSON.
    serde_json::to_string(body).unwrap_or_default()
}
