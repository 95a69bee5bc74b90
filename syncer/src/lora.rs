//! The LoRA role's logic: which adapters model servers should have loaded, which they have, and the requests that make the
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
//! server reports. `plan` compares them and decides on an [`Action`](action::Action): load, reload, replace,
//! restore or unload. An action is one to three [`Request`](request::Request)s in the form of the server's
//! [`LoraApi`](api::LoraApi). A [`Response`](response::Response), or the lack of
//! one, is an [`Outcome`](response::Outcome); a failed one becomes a [`Retry`](retry::Retry) with backoff.
//! [`AdapterStatus`](status::AdapterStatus) is the result, with its [`Reason`].
//!
//! Each server is planned for by itself; only the statuses of several servers are combined.
//!
//! Invariants: Unknown is not empty: while a server cannot be polled, no adapter counts as loaded, and nothing is loaded or
//! unloaded. What counts is what the server holds: an adapter has the reason `loaded` only if the server's last list shows
//! it, from the configured source.

pub mod action;
pub mod api;
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

/// Why an adapter has its status: the label `reason`, a closed set. In the order of severity, by which the statuses of
/// several servers are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Loaded, from the configured source.
    Loaded,
    /// Listed in `ensureNotExist`.
    Excluded,
    /// Listed in both `ensureExist` and `ensureNotExist`; left as it is.
    Conflict,
    /// A load is in flight, or has succeeded and is not in the server's list yet.
    Loading,
    /// Not loaded yet and not attempted yet, or loaded from another source than the configured one.
    Pending,
    /// The adapter should not be loaded, and the server does not unload it.
    UnloadFailed,
    /// The server accepts the request and cannot load the adapter: the source is missing or unusable.
    LoadFailed,
    /// The server refuses the request to load the adapter.
    LoadRejected,
    /// The server does not respond in time.
    Timeout,
    /// The server responds with 401 or 403.
    Unauthorized,
    /// The server cannot be polled.
    Unreachable,
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
