//! The LoRA role's logic: which adapters a model server should have loaded, which it has, and the requests that make the
//! two equal. Pure: configuration files, responses and times in; requests and metric families out. `app::lora` does the
//! I/O.
//!
//! An adapter passes through these types:
//!
//! ```text
//! configuration file ──▶ AdapterSpec ─┐   plan
//!                                     ├────────▶ Action ──▶ Request ──▶ (model server)
//! GET /v1/models ──────▶ Observed ────┘                                      │
//!                            │                                            Response
//!                            │                                               ▼
//!         AdapterStatus ◀────┴── LoraState ◀── History, Retry ◀────────── Outcome
//!               │
//!               ▼
//!     metric families, /readyz, log
//! ```
//! [`AdapterSpec`](config::AdapterSpec) is what the configuration requires, [`Observed`](observed::Observed) what the
//! server reports. `plan` compares them and decides on an [`Action`](action::Action): load, reload, replace
//! or unload. An action is one or two [`Request`](request::Request)s. A [`Response`](response::Response), or the lack of
//! one, is an [`Outcome`](response::Outcome); a failed one becomes a [`Retry`](retry::Retry) with backoff.
//! [`AdapterStatus`](status::AdapterStatus) is the result, with its [`Reason`].
//!
//! Invariant: unknown is not empty. While the server cannot be polled, no adapter counts as loaded, and nothing is loaded
//! or unloaded.

pub mod action;
pub mod config;
mod history;
mod metrics;
pub mod observed;
mod plan;
pub mod request;
pub mod response;
pub mod retry;
pub mod state;
pub mod status;

/// Why an adapter has its status: the label `reason`, a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Loaded, from the configured source.
    Loaded,
    /// Not loaded yet and not attempted yet, or loaded from another source than the configured one.
    Pending,
    /// A load is in flight, or has succeeded and is not in the server's list yet.
    Loading,
    /// The server refuses the request to load the adapter.
    LoadRejected,
    /// The server accepts the request and cannot load the adapter: the source is missing or unusable.
    LoadFailed,
    /// The server does not respond in time.
    Timeout,
    /// The server responds with 401 or 403.
    Unauthorized,
    /// The server cannot be polled.
    Unreachable,
    /// The adapter should not be loaded, and the server does not unload it.
    UnloadFailed,
    /// Listed in `ensureNotExist`.
    Excluded,
    /// Listed in both `ensureExist` and `ensureNotExist`; left as it is.
    Conflict,
}

// === impl Reason ===

impl Reason {
    /// The value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Pending => "pending",
            Self::Loading => "loading",
            Self::LoadRejected => "load_rejected",
            Self::LoadFailed => "load_failed",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
            Self::UnloadFailed => "unload_failed",
            Self::Excluded => "excluded",
            Self::Conflict => "conflict",
        }
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
