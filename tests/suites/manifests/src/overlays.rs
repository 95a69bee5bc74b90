//! Kustomizations that the documents show, built where the documents have the reader make them: in a folder beside `k8s`.

use infertally_harness::process::folder;
use infertally_harness::repository;
use serde_json::Value;

use crate::blocks::{self, Block};
use crate::{Result, kustomize};

/// The documents' Kustomizations.
///
/// # Errors
/// A document can't be read.
pub fn documented() -> Result<Vec<Block>> {
    let blocks = blocks::everywhere()?.into_iter();
    Ok(blocks
        .filter(|block| block.language == "yaml" && block.text.contains("kind: Kustomization"))
        .collect())
}

/// The only Kustomization of the documents with this text in it.
///
/// # Errors
/// There is none, or another one.
pub fn with(text: &str) -> Result<Block> {
    let mut found = documented()?.into_iter().filter(|block| block.text.contains(text));
    match (found.next(), found.next()) {
        (Some(block), None) => Ok(block),
        (None, _) => Err(format!("no document shows a Kustomization with {text:?}").into()),
        (Some(a), Some(b)) => Err(format!("{} and {} have {text:?}", a.location, b.location).into()),
    }
}

/// The objects that kustomize builds from a Kustomization in the folder `overlay` beside `k8s`.
///
/// # Errors
/// kustomize's error, or `KUBECTL` is not set.
pub fn build(kustomization: &str) -> Result<Vec<Value>> {
    let place = folder("overlay")?;
    let overlay = place.join("overlay");
    std::fs::create_dir(&overlay)?;
    std::os::unix::fs::symlink(repository("k8s"), place.join("k8s"))?;
    std::fs::write(overlay.join("kustomization.yaml"), kustomization)?;
    let objects = kustomize::build(&overlay);
    std::fs::remove_dir_all(place)?;
    objects
}
