//! Checks of a document's fenced blocks: every command, file, flag, object and query that a block names must exist.
//!
//! A block that nothing here checks is an error: either a check is missing, or the block should not be there.

use std::collections::BTreeSet;

use infertally_harness::repository;
use serde_json::Value;

use crate::blocks::Block;
use crate::kustomize::kubectl;
use crate::shell::{Command, commands};
use crate::{Result, syncer, yaml};

/// The error says what is wrong.
type Checked = std::result::Result<(), String>;

/// Programs of which only the paths in the repository are checked.
const UNCHECKED_PROGRAMS: &[&str] = &[
    "base64",
    "cargo",
    "cp",
    "docker",
    "echo",
    "envoy",
    "git",
    "grep",
    "jq",
    "prometheus",
    "promtool",
    "sed",
    "sort",
];

/// The folder beside `k8s` in which a document has the reader put an overlay.
const OVERLAY: &str = "overlay";

/// How a word begins that names a file of the repository. `dist` is not among them: a build makes it.
const REPOSITORY_PREFIXES: &[&str] = &[
    "k8s/",
    "scripts/",
    "docs/",
    "tests/",
    "filter/",
    "syncer/",
    "images/",
    "monitoring/",
    "compose",
    "envoy.yaml",
    "Dockerfile",
];

/// Checks blocks against the Makefile and the shipped objects.
#[derive(Debug)]
pub struct Checker {
    make_targets: BTreeSet<String>,
    /// As `kind/name` in lower case.
    objects: BTreeSet<String>,
}

// === impl Checker ===

impl Checker {
    /// Reads the Makefile. `objects` are those that kustomize builds.
    ///
    /// # Errors
    /// There is no Makefile.
    pub fn new(objects: &[Value]) -> Result<Self> {
        let makefile = std::fs::read_to_string(repository("Makefile"))?;
        let targets = makefile.lines().filter_map(|line| {
            let (target, _) = line.split_once(':')?;
            let plain = target.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
            plain.then(|| target.to_owned())
        });
        let name = |object| {
            format!(
                "{}/{}",
                yaml::text(object, "/kind"),
                yaml::text(object, "/metadata/name")
            )
        };
        Ok(Self {
            make_targets: targets.collect(),
            objects: objects.iter().map(|object| name(object).to_lowercase()).collect(),
        })
    }

    /// Checks a block by its language.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, block: &Block) -> Checked {
        let errors = match block.language.as_str() {
            "sh" | "bash" | "shell" => self.commands(&block.text, false),
            "console" => self.commands(&block.text, true),
            "yaml" => error_of(yaml::documents(&block.text)),
            "json" => error_of(serde_json::from_str::<Value>(&block.text)),
            "promql" => error_of(promql(&block.text)),
            // Output: a page of metrics, or a log.
            "text" => Vec::new(),
            // A drawing.
            "" if block.text.contains('─') => Vec::new(),
            language => vec![format!("nothing checks a block of the language {language:?}")],
        };
        if errors.is_empty() {
            Ok(())
        } else {
            Err(format!("{}: {}", block.location, errors.join("; ")))
        }
    }

    fn commands(&self, text: &str, console: bool) -> Vec<String> {
        let found = commands(text, console);
        if found.is_empty() {
            return vec!["no command".to_owned()];
        }
        found.iter().filter_map(|command| self.command(command).err()).collect()
    }

    fn command(&self, command: &Command) -> Checked {
        let Some((program, words)) = command.words.split_first() else {
            return Ok(());
        };
        for word in &command.words {
            file_exists(word.split_once('=').map_or(word.as_str(), |(_, value)| value))?;
        }
        if let Some(input) = &command.input {
            yaml::documents(input).map_err(|error| format!("{program}'s input: {error}"))?;
        }
        match program.as_str() {
            "make" => self.make(words),
            "kubectl" => self.kubectl(words),
            "infertally-syncer" | "dist/infertally-syncer" => syncer::accepts(words.iter()),
            "curl"
                if words
                    .iter()
                    .any(|word| word.contains("://") || word.starts_with("localhost:")) =>
            {
                Ok(())
            }
            "curl" => Err("curl without a URL".to_owned()),
            // Else the newest version would be installed.
            "helm" if words.iter().any(|word| word == "install" || word == "upgrade") && !flag(words, "--version") => {
                Err("helm without --version".to_owned())
            }
            "helm" => Ok(()),
            program if program.starts_with("scripts/") || UNCHECKED_PROGRAMS.contains(&program) => Ok(()),
            program => Err(format!("no check for the command {program:?}")),
        }
    }

    fn make(&self, words: &[String]) -> Checked {
        let targets = words
            .iter()
            .filter(|word| !word.contains('=') && !word.starts_with('-'));
        for target in targets {
            if !self.make_targets.contains(target) {
                return Err(format!("make has no target {target:?}"));
            }
        }
        Ok(())
    }

    fn kubectl(&self, words: &[String]) -> Checked {
        kubectl_accepts(words)?;
        for pair in words.windows(2) {
            if let [flag, folder] = pair
                && (flag == "-k" || flag == "kustomize")
                && !folder.contains("://")
                && !folder.contains('$')
                && folder != OVERLAY
                && !repository(folder).join("kustomization.yaml").is_file()
            {
                return Err(format!("{folder}: no kustomization"));
            }
        }
        for word in words {
            let Some((kind, name)) = word.split_once('/') else {
                continue;
            };
            let kind = match kind {
                "deploy" | "deployment" | "deployments" => "deployment",
                "svc" | "service" | "services" => "service",
                _ => continue,
            };
            if !name.contains('$') && !self.objects.contains(&format!("{kind}/{name}")) {
                return Err(format!("{word}: not a shipped object"));
            }
        }
        Ok(())
    }
}

/// Has kubectl's own parser check the verb and the flags. With `--help` it parses the command line, and does nothing.
fn kubectl_accepts(words: &[String]) -> Checked {
    let own = words.iter().take_while(|word| *word != "--");
    let output = kubectl()
        .and_then(|mut kubectl| Ok(kubectl.args(own).arg("--help").output()?))
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let error = stderr.lines().next().unwrap_or_default();
    Err(format!("kubectl {}: {error}", words.join(" ")))
}

fn error_of<T>(result: std::result::Result<T, impl ToString>) -> Vec<String> {
    result.err().iter().map(ToString::to_string).collect()
}

fn flag(words: &[String], name: &str) -> bool {
    words.iter().any(|word| word.split('=').next() == Some(name))
}

/// Whether a word that names a file of the repository names one that exists.
fn file_exists(word: &str) -> Checked {
    let path = word.strip_prefix("./").unwrap_or(word);
    let is_ours = REPOSITORY_PREFIXES.iter().any(|prefix| path.starts_with(prefix)) && !path.contains(['$', '*', '(']);
    if is_ours && !repository(path).exists() {
        return Err(format!("{path}: not in the repository"));
    }
    Ok(())
}

/// Has promtool check PromQL expressions, separated by empty lines.
fn promql(text: &str) -> Result<()> {
    let rules: Vec<Value> = text
        .split("\n\n")
        .map(|expression| serde_json::json!({"record": "checked", "expr": expression}))
        .collect();
    infertally_harness::promtool::check_rules(
        &serde_json::json!({"groups": [{"name": "checked", "rules": rules}]}).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: &str, text: &str) -> Checked {
        let objects = [serde_json::json!({"kind": "Service", "metadata": {"name": "infertally-syncer"}})];
        Checker::new(&objects).unwrap().check(&Block {
            location: "a.md, block 1".to_owned(),
            language: language.to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn correct_blocks_pass() {
        for (language, text) in [
            ("sh", "make test && kubectl apply -k k8s/base"),
            (
                "sh",
                "kubectl port-forward service/infertally-syncer 9090 &\ncurl localhost:9090/metrics",
            ),
            ("sh", "kubectl exec -it pod -- sh --bogus"),
            ("console", "$ dist/infertally-syncer pool --target http://a:1\nready"),
            ("yaml", "a: b\n---\nc: d"),
            ("json", "{}"),
            ("promql", "up == 0\n\nsum(up)"),
            ("text", "anything"),
            ("", "─▶"),
        ] {
            assert_eq!(check(language, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_incorrect_or_unchecked_block_is_an_error_that_says_why() {
        for (language, text, expected) in [
            ("sh", "make tests", "no target \"tests\""),
            ("sh", "kubectl apply -k k8s/bas", "k8s/bas: not in the repository"),
            (
                "sh",
                "kubectl apply -f k8s/none.yaml",
                "k8s/none.yaml: not in the repository",
            ),
            ("sh", "kubectl install -k k8s/base", "unknown command \"install\""),
            ("sh", "kubectl get pods --every", "unknown flag: --every"),
            ("sh", "kubectl apply -k tests", "no kustomization"),
            (
                "sh",
                "kubectl port-forward svc/other 1",
                "svc/other: not a shipped object",
            ),
            ("sh", "infertally-syncer pool --server a", "--server"),
            ("sh", "infertally-syncer pool", "nothing to scrape"),
            ("sh", "helm install a b", "helm without --version"),
            ("sh", "for i in 1; do make test; done", "the command \"for\""),
            ("sh", "echo $(frob)", "the command \"frob\""),
            ("sh", "# nothing", "no command"),
            ("yaml", "a: [", "a.md, block 1: "),
            ("json", "{", "EOF"),
            ("promql", "sum(", "unclosed"),
            ("", "make test", "nothing checks a block of the language \"\""),
            ("rust", "fn", "language \"rust\""),
        ] {
            let error = check(language, text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
