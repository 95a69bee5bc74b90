//! Folders that kustomize builds: the one in the kubectl that `KUBECTL` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use infertally_harness::repository;
use serde_json::Value;

use crate::{Result, yaml};

const FILE: &str = "kustomization.yaml";

/// Every folder below `k8s` that can be built.
///
/// # Errors
/// If there is no such folder.
pub fn folders() -> Result<Vec<PathBuf>> {
    let files = yaml::files(&repository("k8s"), FILE)?;
    Ok(files
        .iter()
        .filter_map(|file| file.parent().map(Path::to_owned))
        .collect())
}

/// The objects of a folder.
///
/// # Errors
/// What kustomize says.
pub fn build(folder: &Path) -> Result<Vec<Value>> {
    let kubectl = std::env::var_os("KUBECTL").ok_or("KUBECTL is not set: run these tests by `make test`")?;
    let built = Command::new(kubectl).arg("kustomize").arg(folder).output()?;
    if !built.status.success() {
        return Err(format!("{}: {}", folder.display(), String::from_utf8_lossy(&built.stderr)).into());
    }
    yaml::documents(&String::from_utf8(built.stdout)?)
}

/// The objects of every folder below `k8s`.
///
/// # Errors
/// What kustomize says.
pub fn everything() -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for folder in folders()? {
        objects.extend(build(&folder)?);
    }
    Ok(objects)
}
