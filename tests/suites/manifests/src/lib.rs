//! What is shipped for Kubernetes and what the documents tell a user to do, read so that tests can hold it against what it
//! names: [`kustomize`] builds folders, [`pods`] knows the restricted level, [`blocks`] finds a document's fenced blocks and
//! [`claims`] what each must live up to. Makes one file: [`standalone`].

pub mod blocks;
pub mod claims;
pub mod kustomize;
pub mod pods;
pub mod shell;
pub mod standalone;
pub mod syncer;
pub mod yaml;

/// Anything that can go wrong in a test's tools.
pub type Result<T> = infertally_harness::Result<T>;
