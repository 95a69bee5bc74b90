//! The documents: every fenced block is checked, and every Kustomization that they show builds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use infertally_manifests::checks::Checker;
use infertally_manifests::yaml::{self, text};
use infertally_manifests::{blocks, kustomize, overlays};

#[test]
fn everything_that_a_block_names_exists() {
    let checker = Checker::new(&kustomize::everything().unwrap()).unwrap();
    let blocks = blocks::everywhere().unwrap();
    assert!(blocks.len() > 5, "{}", blocks.len());
    let errors: Vec<_> = blocks.iter().filter_map(|block| checker.check(block).err()).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_overlay_in_a_document_builds() {
    let mut built = 0;
    for block in overlays::documented().unwrap() {
        let shown = &yaml::documents(&block.text).unwrap()[0];
        assert_eq!(text(shown, "/kind"), "Kustomization", "{}", block.location);
        let objects = overlays::build(&block.text).unwrap();
        assert!(!objects.is_empty(), "{}", block.location);
        // An overlay with a namespace moves everything, subjects of bindings too. The guide's ClusterRoleBinding has a namespace
        // of its own, which means nothing.
        if !text(shown, "/namespace").is_empty() {
            for mut object in objects {
                if object["kind"] == "ClusterRoleBinding" {
                    object["metadata"]["namespace"].take();
                }
                assert!(
                    !object.to_string().contains(r#""namespace":"default""#),
                    "{}: {object}",
                    block.location
                );
            }
        }
        built += 1;
    }
    assert!(built > 0);
}
