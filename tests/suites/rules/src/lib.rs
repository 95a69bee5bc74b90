//! Access to the shipped Prometheus files for the tests: verbatim ([`shipped`]), or with shorter durations ([`speedup`]) for
//! tests with a real Prometheus.

pub mod shipped;
pub mod speedup;

/// The result of a test helper.
pub type Result<T> = infertally_harness::Result<T>;
