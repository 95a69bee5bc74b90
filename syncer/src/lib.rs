//! The syncer: the pool's gauges from model servers and Kubernetes, and one `/metrics` for everything.

pub mod aliases;
pub mod engine;
pub mod envoy;
pub mod exposition;
