//! A real Kubernetes API server with its etcd, as child processes on loopback: [`Cluster`]. With RBAC, tokens and official
//! CRDs, and without controllers, nodes or containers: what those would do to an object, a test does.

mod apply;
mod cluster;
mod keys;
pub mod objects;
mod tokens;

pub use cluster::Cluster;

/// Anything that can go wrong in a test's tools.
pub type Result<T> = infertally_harness::Result<T>;
