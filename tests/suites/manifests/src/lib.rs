//! Reads the shipped manifests and the documents, so that tests can check them against what they name: [`kustomize`] builds
//! folders, [`overlays`] the documents' own Kustomizations, [`pods`] knows the restricted security level, [`blocks`] finds a document's fenced blocks, and [`checks`] checks
//! each. [`standalone`] generates one file.

pub mod blocks;
pub mod checks;
pub mod kustomize;
pub mod overlays;
pub mod pods;
pub mod shell;
pub mod standalone;
pub mod syncer;
pub mod yaml;

/// Any error of a test's tools.
pub type Result<T> = infertally_harness::Result<T>;
