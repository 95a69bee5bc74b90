//! The syncer: the pool's gauges from model servers and Kubernetes, and one `/metrics` for everything.
//!
//! Imports go one way:
//!
//! ```text
//! app ─▶ cli ─▶ discovery
//!  ├──▶ serve ──────▶ exposition ◀── aliases
//!  ├──▶ pool ───────▶ engine ─────▶ exposition
//!  ├──▶ proxies ────▶ envoy ──────▶ exposition
//!  │        └─▶ scrape ─────▶ http_client
//!  └──▶ model_server ─▶ lora ─────▶ exposition
//! ```
//! `exposition`, `engine`, `envoy`, `aliases`, `pool`, `proxies` and `lora` are pure: bytes, events and times in, values
//! out. Only `discovery::kubernetes` and `serve::auth` know Kubernetes, and only `app` starts tasks that outlive a call.

pub mod aliases;
pub mod app;
pub mod cli;
pub mod discovery;
pub mod engine;
pub mod envoy;
pub mod exposition;
pub mod file;
pub mod http_client;
pub mod lora;
pub mod pool;
pub mod proxies;
pub mod scrape;
pub mod serve;
pub mod version;

/// An error and what caused it, in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
