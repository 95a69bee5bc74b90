//! What the filter costs: real Envoys side by side, the same traffic through each of them in turn, and the differences
//! of their CPU time, latency and memory.
//!
//! ```text
//!  workload ─▶ upstream ◀── Envoys (variant) ◀── client
//!                              │ cost
//!                              ▼
//!                             run ─▶ summary ─▶ report
//! ```
//!
//! A figure counts only if every Envoy did its work: see `check`. The numbers depend on the machine, their relation to
//! each other much less, so they are taken in pairs: in short slices, one Envoy after the other.

mod check;
mod client;
mod cost;
pub mod report;
pub mod run;
mod summary;
mod upstream;
pub mod variant;
pub mod workload;

/// What goes wrong in words, as the tests have it.
pub use infertally_harness::Result;
