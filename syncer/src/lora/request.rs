//! Requests that load and unload adapters, as values.

use serde::Serialize;

use super::api::LoraApi;
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
    /// Load an adapter again from its last known source.
    Restore,
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
    pub(super) fn load(api: LoraApi, spec: &AdapterSpec) -> Self {
        Self::loading(Operation::Load, api, spec)
    }

    pub(super) fn reload(api: LoraApi, spec: &AdapterSpec) -> Self {
        Self::loading(Operation::Reload, api, spec)
    }

    pub(super) fn restore(api: LoraApi, spec: &AdapterSpec) -> Self {
        Self::loading(Operation::Restore, api, spec)
    }

    pub(super) fn unload(api: LoraApi, id: &str) -> Self {
        Self {
            operation: Operation::Unload,
            path: api.unload_path(),
            body: json(&UnloadBody { lora_name: id }),
        }
    }

    fn loading(operation: Operation, api: LoraApi, spec: &AdapterSpec) -> Self {
        let AdapterSpec { id, source, base_model } = spec;
        Self {
            operation,
            path: api.load_path(),
            body: json(&LoadBody {
                lora_name: id,
                lora_path: source,
                // SGLang has one base model, and no such field.
                base_model_name: base_model.as_deref().filter(|_| api == LoraApi::Vllm),
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
            Self::Restore => "restore",
            Self::Unload => "unload",
        }
    }
}

fn json(body: &impl Serialize) -> String {
    // Strings and booleans always serialize.
    serde_json::to_string(body).unwrap_or_default()
}
