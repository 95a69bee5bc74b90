//! Owns the routes: which paths there are, and how they are asked.

use hyper::Method;

use crate::request::Kind;

/// What a path asks for.
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
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Infer(Kind::Chat)),
            "/v1/completions" => Some(Self::Infer(Kind::Completions)),
            "/v1/models" => Some(Self::Models),
            "/health" => Some(Self::Health),
            "/metrics" => Some(Self::Metrics),
            "/v1/load_lora_adapter" => Some(Self::LoadAdapter),
            "/v1/unload_lora_adapter" => Some(Self::UnloadAdapter),
            _ => None,
        }
    }

    /// Whether it is a call of one that manages the server.
    pub(crate) fn manages(self) -> bool {
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
