//! Holds the picture in `src/lib.rs` against the `use crate::` lines: a module imports only from lower lines.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test helper fails the test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The line of each module in the last picture of the crate's documentation.
fn layers(lib: &str) -> HashMap<&str, usize> {
    let picture = lib.split("//! ```").nth(3).unwrap();
    // The names come first, then a description in the same column of every line.
    let column = picture
        .lines()
        .find_map(|line| line.find("Envoy's callbacks in"))
        .unwrap();
    let mut layers = HashMap::new();
    for (line, text) in picture.lines().enumerate() {
        let names = text.get(..column).unwrap_or_default().split_whitespace();
        layers.extend(names.filter(|name| *name != "//!").map(|name| (name, line)));
    }
    layers
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn modules_import_only_from_lower_lines_of_the_picture() {
    let lib = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let layers = layers(&lib);
    for module in lib
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'))
    {
        assert!(
            module == "fakes" || layers.contains_key(module),
            "lib.rs does not draw {module}"
        );
    }
    let mut imports = 0;
    for file in rust_files(&source()) {
        let path = file.strip_prefix(source()).unwrap();
        let is_test = path.components().any(|part| {
            ["tests", "tests.rs", "property.rs", "fakes", "fakes.rs", "lib.rs"]
                .iter()
                .any(|name| part.as_os_str() == *name)
        });
        if is_test {
            continue;
        }
        let module = Path::new(path.iter().next().unwrap()).with_extension("");
        let module = module.to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (at, prefix) in code.match_indices("crate::") {
            let imported = code.split_at(at + prefix.len()).1;
            let imported = imported
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap();
            let line = |name| {
                *layers
                    .get(name)
                    .unwrap_or_else(|| panic!("{} imports {name}", path.display()))
            };
            assert!(
                imported == module || line(imported) > line(module),
                "{} imports {imported}, which is not below {module}",
                path.display()
            );
            imports += 1;
        }
    }
    assert!(imports > 30, "{imports} imports");
}
