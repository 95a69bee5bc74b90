//! Requests that load and unload adapters, as values. The endpoints are vLLM's.

use serde::Serialize;

use super::config::AdapterSpec;

/// A `POST` with a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the request makes the server do.
    pub operation: Operation,
    /// The path of the URL.
    pub path: &'static str,
    /// A JSON object.
    pub body: String,
}

/// What a request does: the label `operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Load an adapter.
    Load,
    /// Load an adapter in place of the one of the same id.
    Reload,
    /// Unload an adapter.
    Unload,
}

#[derive(Serialize)]
struct LoadBody<'a> {
    lora_name: &'a str,
    lora_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model_name: Option<&'a str>,
    /// Omitted when false: older servers do not know it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    load_inplace: bool,
}

#[derive(Serialize)]
struct UnloadBody<'a> {
    lora_name: &'a str,
}

// === impl Request ===

impl Request {
    pub(super) fn load(spec: &AdapterSpec) -> Self {
        Self::load_or_reload(Operation::Load, spec)
    }

    pub(super) fn reload(spec: &AdapterSpec) -> Self {
        Self::load_or_reload(Operation::Reload, spec)
    }

    pub(super) fn unload(id: &str) -> Self {
        Self {
            operation: Operation::Unload,
            path: "/v1/unload_lora_adapter",
            body: json(&UnloadBody { lora_name: id }),
        }
    }

    fn load_or_reload(operation: Operation, spec: &AdapterSpec) -> Self {
        let AdapterSpec { id, source, base_model } = spec;
        Self {
            operation,
            path: "/v1/load_lora_adapter",
            body: json(&LoadBody {
                lora_name: id,
                lora_path: source,
                base_model_name: base_model.as_deref(),
                load_inplace: operation == Operation::Reload,
            }),
        }
    }
}

// === impl Operation ===

impl Operation {
    /// The value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Reload => "reload",
            Self::Unload => "unload",
        }
    }
}

fn json(body: &impl Serialize) -> String {
    // Strings and booleans always serialize.
    serde_json::to_string(body).unwrap_or_default()
}
