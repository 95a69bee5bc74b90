//! The syncer: the pool's gauges from model servers and Kubernetes, and one `/metrics` for everything.

pub mod aliases;
pub mod discovery;
pub mod engine;
pub mod envoy;
pub mod exposition;
pub mod pool;
pub mod scrape;
pub mod serve;

/// An error and what caused it, in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
