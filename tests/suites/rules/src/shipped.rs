//! The files of `k8s/monitoring`.

use std::path::PathBuf;

use infertally_harness::repository;
use serde_json::Value;

use crate::Result;

/// A rule of a rule file.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name of the alert or of the recorded series.
    pub name: String,
    /// The whole rule.
    pub yaml: Value,
}

/// The path of a file in `k8s/monitoring`.
pub fn path(file: &str) -> PathBuf {
    repository("k8s/monitoring").join(file)
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read.
pub fn text(file: &str) -> Result<String> {
    std::fs::read_to_string(path(file)).map_err(|error| format!("{file}: {error}").into())
}

/// Reads a file with a single YAML document.
///
/// # Errors
/// If it cannot be read, or is not YAML.
pub fn yaml(file: &str) -> Result<Value> {
    serde_saphyr::from_str(&text(file)?).map_err(|error| format!("{file}: {error}").into())
}

/// Reads all rules of a rule file, in order.
///
/// # Errors
/// If it cannot be read, or is not a rule file.
pub fn rules(file: &str) -> Result<Vec<Rule>> {
    let yaml = yaml(file)?;
    let groups = yaml
        .get("groups")
        .and_then(Value::as_array)
        .ok_or("the rule file has no groups")?;
    let rules = groups
        .iter()
        .flat_map(|group| group.get("rules").and_then(Value::as_array).into_iter().flatten());
    rules
        .map(|rule| {
            let name = rule.get("alert").or_else(|| rule.get("record")).and_then(Value::as_str);
            Ok(Rule {
                name: name.ok_or("a rule has no name")?.to_owned(),
                yaml: rule.clone(),
            })
        })
        .collect()
}

/// Replaces a part of a shipped text.
///
/// # Errors
/// If the part is missing: otherwise a test would silently run without its change after the shipped text changes.
pub fn replace(text: &str, old: &str, new: &str) -> Result<String> {
    if !text.contains(old) {
        return Err(format!("the shipped file does not contain {old:?}").into());
    }
    Ok(text.replace(old, new))
}
