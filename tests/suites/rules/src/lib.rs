//! What is shipped for Prometheus, as the tests take it: as it is ([`shipped`]), and with its minutes made seconds
//! ([`hurried`]), so that a real Prometheus can be watched with it.

pub mod hurried;
pub mod shipped;

/// Anything that can go wrong in a test's tools.
pub type Result<T> = infertally_harness::Result<T>;
