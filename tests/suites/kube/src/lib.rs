//! [`Cluster`] runs a real Kubernetes API server and etcd as child processes on loopback. It has RBAC, tokens and the official
//! CRDs, but no controllers, nodes or containers: a test makes the changes that those would make to objects.

mod apply;
mod cluster;
mod keys;
pub mod objects;
mod tokens;

pub use cluster::Cluster;

/// The result of a test helper.
pub type Result<T> = infertally_harness::Result<T>;
