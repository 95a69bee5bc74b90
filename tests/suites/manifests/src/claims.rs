//! What each block of the documents must live up to. A block that nothing here claims is an error: either it is something
//! that can be checked, and a check is missing, or it should not be there.

use std::collections::BTreeSet;

use infertally_harness::repository;
use serde_json::Value;

use crate::blocks::Block;
use crate::shell::{Command, commands};
use crate::{Result, syncer, yaml};

/// Whether something lives up to what it names, and if not, how.
type Claim = std::result::Result<(), String>;

/// Programs of which only the paths in the repository are checked: what else they do is the user's.
const KNOWN: &[&str] = &[
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

/// What kubectl is asked to do.
const VERBS: &[&str] = &[
    "annotate",
    "apply",
    "create",
    "delete",
    "describe",
    "edit",
    "exec",
    "get",
    "kustomize",
    "label",
    "logs",
    "patch",
    "port-forward",
    "replace",
    "rollout",
    "scale",
    "top",
    "wait",
];

/// Where an overlay is that a document shows: beside `k8s`, and not in the repository.
const OVERLAY: &str = "overlay";

/// Folders and files of the repository that a word may begin with. What a build leaves in `dist` is not there yet.
const OURS: &[&str] = &[
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

/// What the documents may name.
#[derive(Debug)]
pub struct Known {
    /// make's targets.
    targets: BTreeSet<String>,
    /// Shipped objects, as `kind/name` in lower case.
    objects: BTreeSet<String>,
}

// === impl Known ===

impl Known {
    /// Reads the Makefile and takes the objects that kustomize builds.
    ///
    /// # Errors
    /// If there is no Makefile.
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
            targets: targets.collect(),
            objects: objects.iter().map(|object| name(object).to_lowercase()).collect(),
        })
    }

    /// Holds a block against what it names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn claim(&self, block: &Block) -> Claim {
        let mistakes = match block.language.as_str() {
            "sh" | "bash" | "shell" => self.commands(&block.text, false),
            "console" => self.commands(&block.text, true),
            "yaml" => mistake(yaml::documents(&block.text)),
            "json" => mistake(serde_json::from_str::<Value>(&block.text)),
            "promql" => mistake(promql(&block.text)),
            // A page of metrics, or a log: output.
            "text" => Vec::new(),
            // A drawing.
            "" if block.text.contains('─') => Vec::new(),
            language => vec![format!("nothing checks a block of the language {language:?}")],
        };
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(format!("{}: {}", block.place, mistakes.join("; ")))
        }
    }

    fn commands(&self, text: &str, console: bool) -> Vec<String> {
        let found = commands(text, console);
        if found.is_empty() {
            return vec!["no command".to_owned()];
        }
        found.iter().filter_map(|command| self.command(command).err()).collect()
    }

    fn command(&self, command: &Command) -> Claim {
        let Some((program, words)) = command.words.split_first() else {
            return Ok(());
        };
        for word in &command.words {
            exists(word.split_once('=').map_or(word.as_str(), |(_, value)| value))?;
        }
        if let Some(input) = &command.input {
            yaml::documents(input).map_err(|error| format!("{program}'s input: {error}"))?;
        }
        match program.as_str() {
            "make" => self.make(words),
            "kubectl" => self.kubectl(words),
            "infertally-syncer" | "dist/infertally-syncer" => syncer::takes(words.iter()),
            "curl"
                if words
                    .iter()
                    .any(|word| word.contains("://") || word.starts_with("localhost:")) =>
            {
                Ok(())
            }
            "curl" => Err("curl of nothing".to_owned()),
            // Not what happens to be the newest.
            "helm" if words.iter().any(|word| word == "install" || word == "upgrade") && !flag(words, "--version") => {
                Err("helm without --version".to_owned())
            }
            "helm" => Ok(()),
            program if program.starts_with("scripts/") || KNOWN.contains(&program) => Ok(()),
            program => Err(format!("no check knows the command {program:?}")),
        }
    }

    fn make(&self, words: &[String]) -> Claim {
        let targets = words
            .iter()
            .filter(|word| !word.contains('=') && !word.starts_with('-'));
        for target in targets {
            if !self.targets.contains(target) {
                return Err(format!("make has no target {target:?}"));
            }
        }
        Ok(())
    }

    fn kubectl(&self, words: &[String]) -> Claim {
        if !words.iter().any(|word| VERBS.contains(&word.as_str())) {
            return Err(format!("kubectl does none of it: {}", words.join(" ")));
        }
        for pair in words.windows(2) {
            if let [flag, folder] = pair
                && (flag == "-k" || flag == "kustomize")
                && !folder.contains("://")
                && !folder.contains('$')
                && folder != OVERLAY
                && !repository(folder).join("kustomization.yaml").is_file()
            {
                return Err(format!("{folder}: nothing that kustomize builds"));
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
                return Err(format!("{word}: not among what is shipped"));
            }
        }
        Ok(())
    }
}

fn mistake<T>(result: std::result::Result<T, impl ToString>) -> Vec<String> {
    result.err().iter().map(ToString::to_string).collect()
}

fn flag(words: &[String], name: &str) -> bool {
    words.iter().any(|word| word.split('=').next() == Some(name))
}

/// A word that names a file of the repository must name one that is there.
fn exists(word: &str) -> Claim {
    let path = word.strip_prefix("./").unwrap_or(word);
    let ours = OURS.iter().any(|ours| path.starts_with(ours)) && !path.contains(['$', '*', '(']);
    if ours && !repository(path).exists() {
        return Err(format!("{path}: not in the repository"));
    }
    Ok(())
}

/// Prometheus' own judgement of expressions, one a paragraph.
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

    fn claim(language: &str, text: &str) -> Claim {
        let objects = [serde_json::json!({"kind": "Service", "metadata": {"name": "infertally-syncer"}})];
        Known::new(&objects).unwrap().claim(&Block {
            place: "a.md, block 1".to_owned(),
            language: language.to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn what_is_right_is_claimed() {
        for (language, text) in [
            ("sh", "make test && kubectl apply -k k8s/base"),
            (
                "sh",
                "kubectl port-forward service/infertally-syncer 9090 &\ncurl localhost:9090/metrics",
            ),
            ("console", "$ dist/infertally-syncer pool --target http://a:1\nready"),
            ("yaml", "a: b\n---\nc: d"),
            ("json", "{}"),
            ("text", "anything"),
            ("", "─▶"),
        ] {
            assert_eq!(claim(language, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_and_so_is_what_nobody_claims() {
        for (language, text, wanted) in [
            ("sh", "make tests", "no target \"tests\""),
            ("sh", "kubectl apply -k k8s/bas", "k8s/bas: not in the repository"),
            (
                "sh",
                "kubectl apply -f k8s/none.yaml",
                "k8s/none.yaml: not in the repository",
            ),
            ("sh", "kubectl aply -k k8s/base", "kubectl does none of it: aply"),
            ("sh", "kubectl apply -k tests", "nothing that kustomize builds"),
            ("sh", "kubectl port-forward svc/other 1", "svc/other: not among"),
            ("sh", "infertally-syncer pool --targte a", "--targte"),
            ("sh", "infertally-syncer pool", "nothing to scrape"),
            ("sh", "helm install a b", "helm without --version"),
            ("sh", "for i in 1; do make test; done", "the command \"for\""),
            ("sh", "echo $(frob)", "the command \"frob\""),
            ("sh", "# nothing", "no command"),
            ("yaml", "a: [", "a.md, block 1: "),
            ("json", "{", "EOF"),
            ("", "make test", "nothing checks a block of the language \"\""),
            ("rust", "fn", "language \"rust\""),
        ] {
            let told = claim(language, text).unwrap_err();
            assert!(told.contains(wanted), "{text}: {told}");
        }
    }
}
