//! The syncer: scrapes the model servers of a pool and the Envoys with the filter, keeps a model server's LoRA adapters as
//! configured, and serves all metrics on one `/metrics`.
//!
//! Imports go down only. Each row lists all modules that its module imports (`tests/imports.rs` checks it):
//!
//! ```text
//! app             roles: wiring, tasks   ─▶ all modules below
//! cli             arguments              ─▶ aliases, discovery, engine, envoys, lora, pool, target, url, version
//!
//! ── I/O ──────────────────────────────────────────────────────────────────────────────────
//! serve           /metrics, who scrapes  ─▶ exposition, file, error
//! scrape          fetches pages          ─▶ exposition, scrape_status, http_client, error
//! discovery       finds pods             ─▶ file, target, error
//! http_client     shared by clients    ─▶ file, error
//! file
//!
//! ── pure ─────────────────────────────────────────────────────────────────────────────────
//! pool            state of the pods      ─▶ engine, exposition, scrape_status, target
//! envoys          state of the Envoys    ─▶ envoy_stats, exposition, scrape_status, target
//! aliases         other metric names     ─▶ exposition
//! engine          model servers' pages   ─▶ exposition
//! envoy_stats     Envoys' pages          ─▶ exposition
//! lora            adapters' state        ─▶ exposition
//! target          a pod to scrape        ─▶ url
//! exposition, scrape_status, url, error, version
//! ```
//!
//! Pure modules take bytes, events and times and return values. Only `discovery::kubernetes` and `serve::auth` know
//! Kubernetes, and only `app` starts tasks that outlive a call. The HTTP client of the LoRA role is part of `app`.

pub mod aliases;
pub mod app;
pub mod cli;
pub mod discovery;
pub mod engine;
pub mod envoy_stats;
pub mod envoys;
pub mod error;
pub mod exposition;
pub mod file;
pub mod http_client;
pub mod lora;
pub mod pool;
pub mod scrape;
pub mod scrape_status;
pub mod serve;
pub mod target;
pub mod url;
pub mod version;

pub use error::error_chain;
