//! The LoRA role: which adapters a server should hold, which it holds, and what is to be done. Pure: files, answers and
//! times in, calls and families of series out.
//!
//! ```text
//! file ───▶ config ──┐
//! answers ─▶ observed ├─▶ board ─▶ plan ─▶ request
//!     └────▶ answer ──┘     └────▶ status ─▶ exposition
//! ```
//! Invariant: nothing follows from what is not known. A server that can't be asked holds no adapter for certain, and
//! nothing is loaded or unloaded because of that.

mod backoff;
pub mod config;
mod metrics;
pub mod observed;
pub mod plan;
pub mod request;
pub mod response;
pub mod state;
pub mod status;

/// Why an adapter stands as it does: the label `reason`. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is loaded, from the source that is configured.
    Loaded,
    /// It is to be loaded and was not tried yet; or it is loaded from another source.
    Pending,
    /// The server was asked to load it, and does not show it yet.
    Loading,
    /// The server does not take the request to load it.
    LoadRejected,
    /// The server could not load it: there is nothing at the source, or nothing that it can load.
    LoadFailed,
    /// The server did not answer in time.
    Timeout,
    /// The server does not take our word.
    Unauthorized,
    /// The server can't be asked.
    Unreachable,
    /// It is to be unloaded, and the server did not do it.
    UnloadFailed,
    /// It stands in `ensureNotExist`.
    Excluded,
    /// It stands in both lists, and is left alone.
    Conflict,
}

// === impl Reason ===

impl Reason {
    /// The label's value.
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
