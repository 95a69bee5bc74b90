//! [`Target`], a model server whose metrics are scraped, and its form in flags and files:
//! `[NAME=]http://HOST:PORT[/PATH] [role=ROLE]`.

mod role;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

use crate::url::{base_url, host_and_port};
pub use role::{InvalidRole, Role};

/// Targets of one pool. More cannot be scraped each second by one syncer; a source that finds more fails.
pub const MAX_TARGETS: usize = 10_000;
/// Names are label values; a longer one is not a name.
const MAX_NAME_BYTES: usize = 256;
/// Characters of a text that an error quotes: a line of a file may have megabytes.
const MAX_QUOTE: usize = 80;

/// A replica of the model server whose metrics are scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The value of the label `model_server_pod`.
    pub name: Arc<str>,
    /// Scheme, host and port, and the metrics path if the user gave one. `None` while a pod has no address.
    pub url: Option<Uri>,
    /// Whether the pod is ready in Kubernetes: condition Ready, and not terminating. `None` from sources that do not know;
    /// such a target is ready while its metrics are fresh.
    pub ready: Option<bool>,
    /// The value of the pod's engine label.
    pub engine: Option<String>,
    /// What it does in a disaggregated pool.
    pub role: Option<Role>,
}

/// The pool that an update or a scrape concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId {
    /// Of the InferencePool; empty for other sources.
    pub namespace: Arc<str>,
    /// The label `name`; [`PoolId::ALL`] for the list of all pools of the namespace.
    pub name: Arc<str>,
}

/// What a source sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovered {
    /// All targets, from now on.
    Targets(Vec<Target>),
    /// The source fails. The targets that it sent last stay in effect.
    Failing {
        /// The cause, for the log and `/readyz`.
        why: String,
    },
    /// The pool is no longer among those that the source follows.
    Removed,
}

/// Why targets are invalid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// The text is not a target.
    #[error("invalid target {target:?}: {why}")]
    Invalid {
        /// The text.
        target: String,
        /// What is invalid.
        why: String,
    },
    /// Two targets have the same name.
    #[error("duplicate target {name:?}: two targets have this name")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More than [`MAX_TARGETS`].
    #[error("{count} targets, the limit is {MAX_TARGETS}")]
    TooMany {
        /// Their number.
        count: usize,
    },
}

// === impl PoolId ===

impl PoolId {
    /// Not a name in Kubernetes, so no pool has it.
    pub const ALL: &str = "*";

    /// A pool.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: Arc::from(namespace),
            name: Arc::from(name),
        }
    }

    /// Whether this is the list of all pools of the namespace.
    pub fn is_list(&self) -> bool {
        &*self.name == Self::ALL
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

// === impl Target ===

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let invalid = |why: String| TargetError::Invalid {
            target: quote(text),
            why,
        };
        // A URL has no space.
        let (server, attributes) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let mut role: Option<Role> = None;
        for attribute in attributes.split_whitespace() {
            match attribute.split_once('=') {
                Some(("role", value)) if role.is_none() => {
                    role = Some(value.parse().map_err(|error: InvalidRole| invalid(error.to_string()))?);
                }
                _ => {
                    return Err(invalid(format!(
                        "expected role=ROLE after the URL, not {:?}",
                        quote(attribute)
                    )));
                }
            }
        }
        // A name contains no ':', and a URL has one before its first '='.
        let (name, url) = match server.split_once('=') {
            Some((name, url)) if !name.contains(':') => (Some(name), url),
            _ => (None, server),
        };
        let url = base_url(url).map_err(invalid)?;
        let name = match name {
            Some("") => return Err(invalid("the name before '=' is empty".to_owned())),
            Some(name) if name.len() > MAX_NAME_BYTES => {
                return Err(invalid(format!("the name is longer than {MAX_NAME_BYTES} bytes")));
            }
            Some(name) => Arc::from(name),
            None => Arc::from(host_and_port(&url).as_str()),
        };
        Ok(Self {
            name,
            url: Some(url),
            ready: None,
            engine: None,
            role,
        })
    }
}

fn quote(text: &str) -> String {
    text.chars().take(MAX_QUOTE).collect()
}

/// Checks targets that form one pool.
///
/// # Errors
/// If two have the same name, which would give them the same series, or if there are more than [`MAX_TARGETS`].
pub fn check(targets: &[Target]) -> Result<(), TargetError> {
    if targets.len() > MAX_TARGETS {
        return Err(TargetError::TooMany { count: targets.len() });
    }
    let mut names = BTreeSet::new();
    for target in targets {
        if !names.insert(&target.name) {
            return Err(TargetError::Duplicate {
                name: quote(&target.name),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let target: Target = text.parse().unwrap();
        (target.name.to_string(), target.url.unwrap().to_string())
    }

    #[test]
    fn a_target_without_a_name_is_named_host_and_port() {
        for (text, name, url) in [
            ("http://10.0.0.1:8000", "10.0.0.1:8000", "http://10.0.0.1:8000/"),
            ("a=http://10.0.0.1:8000/", "a", "http://10.0.0.1:8000/"),
            ("a-b.c=https://host", "a-b.c", "https://host/"),
            ("https://host", "host:443", "https://host/"),
            ("http://[::1]:8000", "[::1]:8000", "http://[::1]:8000/"),
            ("http://h:1/m/x?y=z", "h:1", "http://h:1/m/x?y=z"),
            ("n=http://h:1/?y=z", "n", "http://h:1/?y=z"),
        ] {
            assert_eq!(parsed(text), (name.to_owned(), url.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_role_follows_the_url() {
        let role = |text: &str| {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.url.unwrap().to_string(), "http://h:1/", "{text}");
            target.role.map(|role| role.label().to_string())
        };
        assert_eq!(role("a=http://h:1"), None);
        assert_eq!(role("a=http://h:1 role=prefill").as_deref(), Some("prefill"));
        assert_eq!(role("http://h:1 \t role=decode").as_deref(), Some("decode"));
    }

    #[test]
    fn an_invalid_target_is_rejected_with_its_text() {
        for text in [
            "",
            "=",
            "a=",
            "=http://h:1",
            "h:1",
            "ftp://h:1",
            "http://",
            "http://:1",
            "http://h:",
            "http://h:0",
            "http://h:99999",
            "http://u:p@h:1",
            "a=b=http://h:1",
            "http://h:x",
            "/metrics",
            "http://h:1 decode",
            "http://h:1 Role=decode",
            "http://h:1 role=",
            "http://h:1 role=a role=b",
            "http://h:1 role=a\"b",
            "role=decode http://h:1",
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid target {text:?}: ")), "{error}");
        }
        let long = format!("{}=http://h:1", "n".repeat(MAX_NAME_BYTES + 1));
        assert!(long.parse::<Target>().is_err());
    }

    #[test]
    fn an_error_quotes_the_beginning_of_a_long_text() {
        let long = "ä".repeat(100_000);
        for text in [
            long.clone(),
            format!("http://h:1 {long}"),
            format!("http://h:1 role={long}"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.len() < 600, "{} bytes", error.len());
        }
        let name = "h".repeat(10_000);
        let target: Target = format!("http://{name}").parse().unwrap();
        let error = check(&[target.clone(), target]).unwrap_err().to_string();
        assert!(error.contains("hhh") && error.len() < 200, "{error}");
    }

    #[test]
    fn duplicate_names_are_rejected() {
        let targets = |names: &[&str]| -> Vec<Target> {
            names
                .iter()
                .map(|name| format!("{name}=http://h:1").parse().unwrap())
                .collect()
        };
        assert_eq!(check(&targets(&["a", "b"])), Ok(()));
        assert_eq!(
            check(&targets(&["a", "b", "a"])),
            Err(TargetError::Duplicate { name: "a".to_owned() })
        );
    }
}
