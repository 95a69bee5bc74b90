//! What the HTTP clients of the syncer share: the connector, its TLS configuration from files, and the `user-agent`.

pub mod access;
pub mod connector;
pub mod tls;
mod tls_error;

/// The header `user-agent`.
pub const AGENT: &str = concat!("infertally-syncer/", env!("CARGO_PKG_VERSION"));
