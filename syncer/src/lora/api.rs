//! The model servers' APIs for adapters.
//!
//! vLLM's form is captured (0.32.0). SGLang's is that of its source (`entrypoints/http_server.py`,
//! `managers/tokenizer_control_mixin.py`, `lora/lora_manager.py`, `lora/lora_registry.py`): the same two requests below
//! other paths, `{"success", "error_message", "loaded_adapters"}` in every response, status 400 for every failure, and no
//! reload in place. Both list adapters at `GET /v1/models`, with the base model as `parent` and the source as `root`, and
//! name themselves there in `owned_by`.

/// Which requests load and unload adapters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoraApi {
    /// `/v1/load_lora_adapter`
    #[default]
    Vllm,
    /// `/load_lora_adapter`
    Sglang,
}

// === impl LoraApi ===

impl LoraApi {
    /// The API of the server whose list has this `owned_by`, if it is known.
    pub(super) fn owned_by(owner: &str) -> Option<Self> {
        match owner {
            "vllm" => Some(Self::Vllm),
            "sglang" => Some(Self::Sglang),
            _ => None,
        }
    }

    /// Whether a loaded adapter may be loaded from another source. A server may still reject it: vLLM can since 0.32.
    pub(super) fn has_reload(self) -> bool {
        match self {
            Self::Vllm => true,
            Self::Sglang => false,
        }
    }

    pub(super) fn load_path(self) -> &'static str {
        match self {
            Self::Vllm => "/v1/load_lora_adapter",
            Self::Sglang => "/load_lora_adapter",
        }
    }

    pub(super) fn unload_path(self) -> &'static str {
        match self {
            Self::Vllm => "/v1/unload_lora_adapter",
            Self::Sglang => "/unload_lora_adapter",
        }
    }

    /// What a server without these paths lacks.
    pub(super) fn missing_endpoint(self) -> &'static str {
        match self {
            Self::Vllm => "no such endpoint; vLLM needs VLLM_ALLOW_RUNTIME_LORA_UPDATING=true",
            Self::Sglang => "no such endpoint; SGLang has it in versions that load adapters at run time",
        }
    }
}
