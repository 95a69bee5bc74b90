//! Measures what the filter costs: sends the same traffic through real Envoys in turn and compares their CPU time, latency
//! and memory.
//!
//! ```text
//!  workload ─▶ upstream ◀── Envoys (variant) ◀── client
//!                              │   ▲▼
//!                         cost │  ext_proc
//!                              ▼
//!                             run ─▶ summary ─▶ report, goals
//! ```
//!
//! A run has figures only if every Envoy counted exactly what was sent: see `check`. Absolute numbers depend on the machine,
//! differences much less, so the measurements are paired: short slices, one Envoy after the other.

mod check;
mod client;
mod cost;
pub mod ext_proc;
pub mod goals;
pub mod growth;
mod held;
mod plot;
pub mod report;
pub mod run;
mod stats_page;
mod summary;
mod upstream;
pub mod variant;
pub mod workload;

pub use infertally_harness::Result;
