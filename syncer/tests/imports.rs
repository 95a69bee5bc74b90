//! Checks the diagram in `src/lib.rs` against the imports of each module.
#![allow(clippy::unwrap_used, reason = "a failing test helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Imports = BTreeMap<String, BTreeSet<String>>;

const ARROW: &str = "─▶";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rows of the diagram, and their order from top to bottom.
fn diagram(lib: &str) -> (Imports, Vec<String>) {
    let (mut imports, mut order) = (Imports::new(), Vec::new());
    for row in lib.split("//! ```").nth(1).unwrap().lines().skip(1) {
        let row = row.trim_start_matches("//!").trim();
        let Some(name) = row
            .split([' ', ','])
            .next()
            .filter(|name| !name.is_empty() && !name.starts_with('─'))
        else {
            continue;
        };
        match row.split_once(ARROW) {
            Some((_, targets)) => {
                let targets = targets
                    .split(',')
                    .map(|target| target.trim().split("::").next().unwrap().to_owned());
                imports.insert(name.to_owned(), targets.collect());
                order.push(name.to_owned());
            }
            // A row of modules that import nothing.
            None => {
                for name in row.split(',').map(str::trim) {
                    imports.insert(name.to_owned(), BTreeSet::new());
                    order.push(name.to_owned());
                }
            }
        }
    }
    (imports, order)
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

/// The modules that each module imports by `crate::`.
fn imports() -> Imports {
    let mut imports = Imports::new();
    for file in rust_files(&source()) {
        let path = file.strip_prefix(source()).unwrap();
        let is_test = path.components().any(|part| {
            let part = part.as_os_str();
            ["tests", "tests.rs", "property", "property.rs", "lib.rs", "main.rs"]
                .iter()
                .any(|name| part == *name)
        });
        if is_test {
            continue;
        }
        let module = Path::new(path.iter().next().unwrap()).with_extension("");
        let module = module.to_str().unwrap();
        let imported = imports.entry(module.to_owned()).or_default();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (at, prefix) in code.match_indices("crate::") {
            let name = code.split_at(at + prefix.len()).1;
            let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            // Re-exported at the root.
            let name = if name == "error_chain" { "error" } else { name };
            if name != module {
                imported.insert(name.to_owned());
            }
        }
    }
    imports
}

#[test]
fn diagram_shows_the_imports_of_every_module() {
    let lib = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let (mut drawn, order) = diagram(&lib);
    // Its row says so in words.
    drawn.remove("app").unwrap();
    let mut found = imports();
    found.remove("app").unwrap();
    assert_eq!(found, drawn);

    let row = |name: &String| order.iter().position(|other| other == name).unwrap();
    for (module, imported) in &drawn {
        for name in imported {
            assert!(
                row(name) > row(module),
                "{module} imports {name}, which is not below it"
            );
        }
    }
}
