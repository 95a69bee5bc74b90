//! The files of `k8s/monitoring`.

use std::path::PathBuf;

use infertally_harness::repository;
use serde_json::Value;

use crate::Result;

/// A rule of a rule file.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The alert's name, or the name of what is recorded.
    pub name: String,
    /// All of it.
    pub yaml: Value,
}

/// Where a file is.
pub fn path(file: &str) -> PathBuf {
    repository("k8s/monitoring").join(file)
}

/// A file's text.
///
/// # Errors
/// If it can't be read.
pub fn text(file: &str) -> Result<String> {
    std::fs::read_to_string(path(file)).map_err(|error| format!("{file}: {error}").into())
}

/// A file of one document.
///
/// # Errors
/// If it can't be read, or is no YAML.
pub fn yaml(file: &str) -> Result<Value> {
    serde_saphyr::from_str(&text(file)?).map_err(|error| format!("{file}: {error}").into())
}

/// All rules of a rule file, in its order.
///
/// # Errors
/// If it can't be read, or is no rule file.
pub fn rules(file: &str) -> Result<Vec<Rule>> {
    let yaml = yaml(file)?;
    let groups = yaml.get("groups").and_then(Value::as_array).ok_or("no groups")?;
    let rules = groups
        .iter()
        .flat_map(|group| group.get("rules").and_then(Value::as_array).into_iter().flatten());
    rules
        .map(|rule| {
            let name = rule.get("alert").or_else(|| rule.get("record")).and_then(Value::as_str);
            Ok(Rule {
                name: name.ok_or("a rule without a name")?.to_owned(),
                yaml: rule.clone(),
            })
        })
        .collect()
}

/// A text with one part in the place of another.
///
/// # Errors
/// If the part is not there: a test's change must not be lost when the shipped text changes.
pub fn replace(text: &str, old: &str, new: &str) -> Result<String> {
    if !text.contains(old) {
        return Err(format!("the shipped file does not hold {old:?}").into());
    }
    Ok(text.replace(old, new))
}
