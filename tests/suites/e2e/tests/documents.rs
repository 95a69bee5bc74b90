//! What the documents say against what is there: paths, and the table of metrics.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails it")]

use infertally_filter::metrics::{Kind, METRICS};
use infertally_harness::repository;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Every word in backquotes that looks like a path of the repository.
fn paths(text: &str) -> Vec<&str> {
    let words = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.contains([' ', '=', '{']));
    let known = |word: &&str| {
        word.ends_with('/')
            || [".rs", ".md", ".yaml", ".toml", ".sh"]
                .iter()
                .any(|end| word.ends_with(end))
    };
    words.filter(known).filter(|word| !word.starts_with('/')).collect()
}

#[test]
fn every_path_in_the_documents_is_there() {
    for document in ["AGENTS.md", "README.md", "CHANGELOG.md"] {
        let text = read(document);
        let paths = paths(&text);
        for path in &paths {
            // What `make` leaves behind need not be there yet.
            let made = path.starts_with("dist/") || *path == ".tools/";
            assert!(made || repository(path).exists(), "{document} names {path}");
        }
        assert!(!paths.is_empty(), "{document}");
    }
}

/// What follows `](`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.match_indices("](").map(|(at, _)| text.split_at(at + 2).1);
    targets.map(|target| target.split(')').next().unwrap()).collect()
}

/// The names by which a document's headings are linked to.
fn anchors(text: &str) -> Vec<String> {
    let headings = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchor = |heading: &str| -> String {
        let lower = heading.to_lowercase();
        let kept = lower
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let docs = std::fs::read_dir(repository("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    let documents: Vec<_> = ["AGENTS.md", "README.md", "CHANGELOG.md"]
        .map(str::to_owned)
        .into_iter()
        .chain(docs)
        .collect();
    assert!(documents.len() > 10, "{documents:?}");
    for document in &documents {
        for link in links(&read(document))
            .into_iter()
            .filter(|link| !link.starts_with("https://"))
        {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => repository(document),
                file => repository(document).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{document} links to {link}");
            let found = anchor.is_empty()
                || anchors(&std::fs::read_to_string(&target).unwrap())
                    .iter()
                    .any(|a| a == anchor);
            assert!(found, "{document} links to {link}, and there is no such heading");
        }
    }
}

#[test]
fn the_readmes_table_of_metrics_is_the_filters() {
    let readme = read("README.md");
    let ours = ["| `inference_", "| `normalized_", "| `infertally_"];
    // The pool's are held against the syncer's table, by its own tests.
    let (filters, _) = readme.split_once("## The pool").unwrap();
    let rows: Vec<_> = filters
        .lines()
        .filter(|line| ours.iter().any(|start| line.starts_with(start)))
        .collect();
    let wanted: Vec<_> = METRICS
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
    assert_eq!(rows, wanted);
}

#[test]
fn every_target_that_the_documents_name_is_in_the_makefile() {
    let makefile = read("Makefile");
    for document in ["README.md", "AGENTS.md", "CHANGELOG.md"] {
        let text = read(document);
        let targets = text.match_indices("make ").map(|(at, _)| {
            let after = text.split_at(at + "make ".len()).1;
            after
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .next()
                .unwrap()
        });
        // "make" stands in sentences, too; a target stands in code.
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
