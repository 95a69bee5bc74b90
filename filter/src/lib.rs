//! infertally's Proxy-Wasm filter: it reads LLM requests and answers as they pass through Envoy and makes the metrics
//! of the Gateway API Inference Extension's *Metrics* guide, as Envoy stats. It changes, holds and delays no byte.
//!
//! ```text
//!  bytes ─▶ request ──────────────┐
//!           (json)                ▼
//!  bytes ─▶ answer ─────────▶ exchange ─▶ record ─▶ metrics ─▶ recorder ─▶ stats
//!           (json, sse)           ▲                               ▲
//!                        worker: route, admission, running ───────┘
//!                                 ▲
//!                               host (wasm32 only: Proxy-Wasm calls in, stats out)
//! ```
//!
//! Everything but `host` is plain Rust without I/O, runs natively, and takes the time as an argument. Imports go from
//! right to left in the picture: a reader knows no metric, a metric knows no header.

pub mod access_log;
pub mod admission;
pub mod config;
pub mod exchange;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod response;
// The tests that are compiled for wasm32 run in Node, which has none of Envoy's calls.
#[cfg(all(target_arch = "wasm32", not(test)))]
mod host;
pub mod json;
pub mod labels;
pub mod metrics;
pub mod record;
pub mod recorder;
pub mod request;
pub mod route;
pub mod running;
pub mod shared;
pub mod sse;
pub mod worker;
