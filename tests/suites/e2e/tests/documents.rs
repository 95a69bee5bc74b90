//! The documents against the repository: paths, links, `make` targets, and the tables of the filter's metrics.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use infertally_filter::metrics::{Kind, METRICS};
use infertally_harness::repository;

/// The documents at the root.
const AT_THE_ROOT: [&str; 4] = ["AGENTS.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"];
/// The documents that name paths of the repository in backquotes.
const WITH_PATHS: [&str; 5] = [
    "AGENTS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/architecture.md",
];
/// What a reader takes in at once.
const MAX_README_BYTES: usize = 8 * 1024;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// The documents at the root and in `docs`; pictures belong to the document that shows them.
fn documents() -> Vec<String> {
    let docs = std::fs::read_dir(repository("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    let docs = docs.filter(|path| path.ends_with(".md"));
    AT_THE_ROOT.map(str::to_owned).into_iter().chain(docs).collect()
}

/// Every word in backquotes that looks like a path of the repository.
fn paths(text: &str) -> Vec<&str> {
    let words = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.contains([' ', '=', '{']));
    let is_path = |word: &&str| {
        word.ends_with('/')
            || [".rs", ".md", ".yaml", ".toml", ".sh"]
                .iter()
                .any(|ending| word.ends_with(ending))
    };
    words.filter(is_path).filter(|word| !word.starts_with('/')).collect()
}

#[test]
fn every_path_in_the_documents_exists() {
    for document in WITH_PATHS {
        let text = read(document);
        let paths = paths(&text);
        for path in &paths {
            // A build or `make setup` leaves these behind.
            let generated = path.starts_with("dist/") || *path == ".tools/";
            assert!(generated || repository(path).exists(), "{document} names {path}");
        }
        assert!(!paths.is_empty(), "{document}");
    }
}

/// What follows `](`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.match_indices("](").map(|(at, _)| text.split_at(at + 2).1);
    targets.map(|target| target.split(')').next().unwrap()).collect()
}

/// The fragments by which a document's headings are linked to.
fn fragments(text: &str) -> Vec<String> {
    let headings = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let fragment = |heading: &str| -> String {
        let lower = heading.to_lowercase();
        let kept = lower
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(fragment).collect()
}

#[test]
fn every_link_in_the_documents_has_a_target() {
    let documents = documents();
    assert!(documents.len() > 10, "{documents:?}");
    for document in &documents {
        for link in links(&read(document))
            .into_iter()
            .filter(|link| !link.starts_with("https://"))
        {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => repository(document),
                file => repository(document).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{document} links to {link}");
            let found = fragment.is_empty()
                || fragments(&std::fs::read_to_string(&target).unwrap())
                    .iter()
                    .any(|known| known == fragment);
            assert!(found, "{document} links to {link}, and there is no such heading");
        }
    }
}

#[test]
fn every_document_is_linked_from_the_readme() {
    let readme = read("README.md");
    for document in documents() {
        let linked = links(&readme).contains(&document.as_str());
        assert!(linked || AT_THE_ROOT.contains(&document.as_str()), "{document}");
    }
}

#[test]
fn the_readme_is_short() {
    let bytes = read("README.md").len();
    assert!(bytes <= MAX_README_BYTES, "{bytes} bytes");
}

#[test]
fn the_documented_metrics_of_the_filter_are_its_table() {
    let document = read("docs/metrics.md");
    let prefixes = ["| `inference_", "| `normalized_", "| `infertally_"];
    // The syncer's own tests check the rest.
    let (filter, _) = document.split_once("## The pool").unwrap();
    let rows: Vec<_> = filter
        .lines()
        .filter(|line| prefixes.iter().any(|prefix| line.starts_with(prefix)))
        .collect();
    let expected: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram { .. } => "histogram",
            };
            let labels: Vec<_> = metric.labels.iter().map(|label| label.as_str()).collect();
            format!(
                "| `{}` | {kind} | {} | {} |",
                metric.name,
                labels.join(", "),
                metric.help
            )
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_documented_bounds_of_the_histograms_are_the_filters() {
    let document = read("docs/metrics.md");
    let (_, section) = document.split_once("### Bounds").unwrap();
    let lines: Vec<_> = section.lines().filter(|line| line.starts_with("- `")).collect();
    let expected: Vec<_> = METRICS
        .iter()
        .filter_map(|metric| {
            let Kind::Histogram { bounds, .. } = metric.kind else {
                return None;
            };
            let bounds: Vec<_> = bounds.iter().map(|bound| bound.le).collect();
            Some(format!("- `{}`: {}", metric.name, bounds.join(" ")))
        })
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn every_make_target_in_the_documents_exists() {
    let makefile = read("Makefile");
    for document in documents() {
        let text = read(&document);
        let targets = text.match_indices("make ").map(|(at, _)| {
            let after = text.split_at(at + "make ".len()).1;
            after
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .next()
                .unwrap()
        });
        // "make" also occurs in sentences; a target occurs in code.
        for target in targets
            .filter(|target| text.contains(&format!("`make {target}`")) || text.contains(&format!("\nmake {target} ")))
        {
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{document} names make {target}"
            );
        }
    }
}
