//! Folders that kustomize builds, with the kubectl that `KUBECTL` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use infertally_harness::repository;
use serde_json::Value;

use crate::{Result, yaml};

const FILE: &str = "kustomization.yaml";

/// Every folder below `k8s` that kustomize builds into objects, which a component is not.
///
/// # Errors
/// `k8s` can't be read.
pub fn folders() -> Result<Vec<PathBuf>> {
    let files = yaml::files(&repository("k8s"), FILE)?;
    let mut folders = Vec::new();
    for file in files {
        if !std::fs::read_to_string(&file)?.contains("\nkind: Component\n") {
            folders.extend(file.parent().map(Path::to_owned));
        }
    }
    Ok(folders)
}

/// The objects that kustomize builds from a folder.
///
/// # Errors
/// kustomize's error, or `KUBECTL` is not set.
pub fn build(folder: &Path) -> Result<Vec<Value>> {
    let built = kubectl()?.arg("kustomize").arg(folder).output()?;
    if !built.status.success() {
        return Err(format!("{}: {}", folder.display(), String::from_utf8_lossy(&built.stderr)).into());
    }
    yaml::documents(&String::from_utf8(built.stdout)?)
}

/// The objects of every folder below `k8s`.
///
/// # Errors
/// As for [`build`].
pub fn everything() -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for folder in folders()? {
        objects.extend(build(&folder)?);
    }
    Ok(objects)
}

/// kubectl, without arguments.
pub(crate) fn kubectl() -> Result<Command> {
    let kubectl = std::env::var_os("KUBECTL").ok_or("KUBECTL is not set: run these tests by `make test`")?;
    Ok(Command::new(kubectl))
}
