//! The syncer: scrapes the model servers of a pool and the Envoys with the filter, keeps a model server's LoRA adapters as
//! configured, and serves all metrics on one `/metrics`.
//!
//! Imports go down only. Each row lists all modules that its module imports:
//!
//! ```text
//! app             roles: wiring, tasks   ─▶ all modules below
//! cli             arguments              ─▶ aliases, discovery, engine, url, version
//!
//! ── I/O ──────────────────────────────────────────────────────────────────────────────────
//! serve           /metrics, who scrapes  ─▶ exposition, file, error
//! scrape          fetches pages          ─▶ exposition, scrape_status, http_client, error
//! discovery       finds pods             ─▶ file, url, error
//! model_server    loads adapters         ─▶ lora, http_client, file, error
//! http_client, file
//!
//! ── pure ─────────────────────────────────────────────────────────────────────────────────
//! pool            state of the pods      ─▶ discovery::target, engine, exposition, scrape_status
//! envoys          state of the Envoys    ─▶ envoy_stats, exposition, scrape_status
//! aliases         other metric names     ─▶ exposition
//! engine          model servers' pages   ─▶ exposition
//! envoy_stats     Envoys' pages          ─▶ exposition
//! lora            adapters' state        ─▶ exposition
//! exposition, scrape_status, url, error, version
//! ```
//!
//! Pure modules take bytes, events and times and return values. Only `discovery::kubernetes` and `serve::auth` know
//! Kubernetes, and only `app` starts tasks that outlive a call.

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
pub mod url;
pub mod version;

pub use error::error_chain;
