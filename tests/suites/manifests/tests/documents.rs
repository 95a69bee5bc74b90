//! README and docs: every block is claimed by a check, and the Kustomizations that they show build.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

use std::path::Path;

use infertally_harness::repository;
use infertally_manifests::claims::Known;
use infertally_manifests::yaml::{self, text};
use infertally_manifests::{blocks, kustomize};

#[test]
fn every_block_lives_up_to_what_it_names() {
    let known = Known::new(&kustomize::everything().unwrap()).unwrap();
    let blocks = blocks::everywhere().unwrap();
    assert!(blocks.len() > 5, "{}", blocks.len());
    let mistakes: Vec<_> = blocks.iter().filter_map(|block| known.claim(block).err()).collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn every_overlay_that_is_shown_builds_beside_this_repository() {
    let mut built = 0;
    for block in blocks::everywhere().unwrap() {
        if block.language != "yaml" || !block.text.contains("kind: Kustomization") {
            continue;
        }
        let shown = &yaml::documents(&block.text).unwrap()[0];
        assert_eq!(text(shown, "/kind"), "Kustomization", "{}", block.place);
        // The document says to make a folder beside k8s.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("overlay-{built}"));
        _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("overlay")).unwrap();
        std::os::unix::fs::symlink(repository("k8s"), folder.join("k8s")).unwrap();
        std::fs::write(folder.join("overlay/kustomization.yaml"), &block.text).unwrap();
        let objects = kustomize::build(&folder.join("overlay")).unwrap();
        assert!(!objects.is_empty(), "{}", block.place);
        // What it moves is moved whole: names in a binding, too. That the guide's ClusterRoleBinding says a namespace of its
        // own means nothing.
        if !text(shown, "/namespace").is_empty() {
            for mut object in objects {
                if object["kind"] == "ClusterRoleBinding" {
                    object["metadata"]["namespace"].take();
                }
                assert!(
                    !object.to_string().contains(r#""namespace":"default""#),
                    "{}: {object}",
                    block.place
                );
            }
        }
        built += 1;
    }
    assert!(built > 0);
}
