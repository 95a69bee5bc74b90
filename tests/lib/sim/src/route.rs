//! The routes of the server: their paths and methods.

use hyper::Method;

use crate::config::AdapterApi;
use crate::inference_request::Kind;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Route {
    Infer(Kind),
    Models,
    Health,
    Metrics,
    LoadAdapter,
    UnloadAdapter,
}

// === impl Route ===

impl Route {
    pub(crate) fn of(path: &str, api: AdapterApi) -> Option<Self> {
        match (path, api) {
            ("/v1/load_lora_adapter", AdapterApi::Vllm) | ("/load_lora_adapter", AdapterApi::Sglang) => {
                Some(Self::LoadAdapter)
            }
            ("/v1/unload_lora_adapter", AdapterApi::Vllm) | ("/unload_lora_adapter", AdapterApi::Sglang) => {
                Some(Self::UnloadAdapter)
            }
            _ => Self::of_any(path),
        }
    }

    fn of_any(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Infer(Kind::Chat)),
            "/v1/completions" => Some(Self::Infer(Kind::Completions)),
            "/v1/models" => Some(Self::Models),
            "/health" => Some(Self::Health),
            "/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }

    /// Whether requests to it are logged.
    pub(crate) fn is_management(self) -> bool {
        match self {
            Self::Models | Self::Health | Self::LoadAdapter | Self::UnloadAdapter => true,
            Self::Infer(_) | Self::Metrics => false,
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Models | Self::Health | Self::Metrics => Method::GET,
            Self::Infer(_) | Self::LoadAdapter | Self::UnloadAdapter => Method::POST,
        }
    }

    pub(crate) fn allow(self) -> &'static str {
        if self.method() == Method::GET { "GET" } else { "POST" }
    }
}
