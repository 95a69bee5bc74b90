//! The syncer: the pool's gauges from model servers and Kubernetes, and one `/metrics` for everything.

pub mod engine;
pub mod exposition;
