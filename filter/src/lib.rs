//! Proxy-Wasm filter for Envoy that derives the metrics of the Gateway API Inference Extension's *Metrics* guide from
//! LLM requests and responses. It changes, holds and delays no byte.
//!
//! Envoy runs one Wasm VM per worker thread. Inside it, `host` receives Envoy's callbacks and passes headers, body
//! chunks and the time to the code below it, which is plain Rust without I/O and runs natively in tests:
//!
//! ```text
//! request body  ─▶ request (json) ───────┐
//!                                        ├─▶ exchange ─▶ record ─▶ metrics ─▶ recorder ─▶ ledger ─▶ Envoy stats
//! response body ─▶ response (json, sse) ─┘
//! ```
//!
//! `worker` drives this and resolves the model labels. Imports go one way: each module imports only from lower lines
//! (`tests/imports.rs` checks it).
//!
//! ```text
//! host                          Envoy's callbacks in, host calls out; the only module that knows Proxy-Wasm
//! worker                        state of one VM; resolves model labels and finishes exchanges
//! access_log  recorder  running the outputs: access log fields, series, the gauge of requests in flight
//! contribution  ledger          gauges that several filters share; sums by series until they are published
//! lease                         what keeps a gauge equal to values in shared data
//! metrics                       the table of metrics, and what a record adds to each
//! record  forced_usage          a finished exchange as plain data; servers that report usage unasked
//! exchange                      a request and its response as a state machine
//! response                      response bodies in; model, token usage and finish reasons out
//! request                       request bodies in; model out
//! admission  config             which model names become label values; the plugin configuration
//! names  multipart              model names as numbers; an incremental parser of forms
//! json  sse  route  inflate     incremental parsers and a decoder; which requests are measured
//! labels  shared  streams       label names and values; state and stats that all workers share; open streams by number
//! ```

mod access_log;
mod admission;
pub mod config;
mod contribution;
pub mod exchange;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
mod forced_usage;
// Unit tests compiled for wasm32 run in Node, which provides none of Envoy's host functions.
#[cfg(all(target_arch = "wasm32", not(test)))]
mod host;
pub mod inflate;
pub mod json;
pub mod labels;
mod lease;
mod ledger;
pub mod metrics;
mod multipart;
pub mod names;
pub mod record;
mod recorder;
pub mod request;
pub mod response;
pub mod route;
mod running;
mod shared;
pub mod sse;
// Used by `host` alone.
#[cfg(any(test, target_arch = "wasm32"))]
mod streams;
pub mod worker;
