//! Targets as a user writes them: `[name=]http://host:port`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use super::{MAX_TARGETS, Target};

/// A label's value; longer ones are a mistake.
const MAX_NAME_BYTES: usize = 256;

/// Why a target can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not a URL.
    #[error("target {target:?}: {why}")]
    Url {
        /// As it was written.
        target: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two targets of one name.
    #[error("target {name:?}: two targets have this name")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More than [`MAX_TARGETS`].
    #[error("{count} targets: {MAX_TARGETS} is the most")]
    TooMany {
        /// So many.
        count: usize,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let fail = |why: String| TargetError::Url {
            target: text.to_owned(),
            why,
        };
        // A name holds no ':', and a URL has one before its first '='.
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains(':') => (Some(name), url),
            _ => (None, text),
        };
        let url = base_url(url).map_err(fail)?;
        let name = match name {
            Some("") => return Err(fail("the name before '=' is empty".to_owned())),
            Some(name) if name.len() > MAX_NAME_BYTES => {
                return Err(fail(format!("the name is longer than {MAX_NAME_BYTES} bytes")));
            }
            Some(name) => Arc::from(name),
            None => Arc::from(host_and_port(&url).as_str()),
        };
        Ok(Self {
            name,
            url: Some(url),
            ready: None,
            engine: None,
        })
    }
}

/// Refuses targets of one name, which could not be told apart, and too many of them.
pub fn check(targets: &[Target]) -> Result<(), TargetError> {
    if targets.len() > MAX_TARGETS {
        return Err(TargetError::TooMany { count: targets.len() });
    }
    let mut seen = BTreeMap::new();
    for target in targets {
        if seen.insert(&target.name, ()).is_some() {
            return Err(TargetError::Duplicate {
                name: target.name.to_string(),
            });
        }
    }
    Ok(())
}

/// A URL to read metrics from. The error says what is wrong with it.
pub fn base_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("not a URL ({error})"))?;
    match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
        _ => return Err("not an http:// or https:// URL".to_owned()),
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err("a user and a password in a URL are not supported".to_owned())
        }
        // `http` takes `http://:80` and `http://host:port`, too.
        Some(authority) if authority.host().is_empty() => Err("no host".to_owned()),
        Some(authority) if authority.as_str().ends_with(':') || bad_port(authority) => {
            Err("the port is not a number from 1 to 65535".to_owned())
        }
        Some(_) => Ok(url),
        None => Err("no host".to_owned()),
    }
}

/// The URL with this path, unless it has one of its own.
pub fn with_path(url: &Uri, path: &PathAndQuery) -> Uri {
    if url.path() != "/" || url.query().is_some() {
        return url.clone();
    }
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(path.clone());
    // It has a scheme and an authority, or it could not be read anyway.
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

fn bad_port(authority: &http::uri::Authority) -> bool {
    let after_host = authority.as_str().get(authority.host().len()..).unwrap_or_default();
    !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0)
}

/// `host:port`, the port of the scheme where none is written.
pub fn host_and_port(url: &Uri) -> String {
    let default = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    format!(
        "{}:{}",
        url.host().unwrap_or_default(),
        url.port_u16().unwrap_or(default)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let target: Target = text.parse().unwrap();
        (target.name.to_string(), target.url.unwrap().to_string())
    }

    #[test]
    fn a_target_is_named_by_its_address_unless_it_has_a_name() {
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
    fn a_path_is_added_where_there_is_none() {
        for (url, expected) in [
            ("http://h:1", "http://h:1/p?q"),
            ("http://h:1/", "http://h:1/p?q"),
            ("https://h/m", "https://h/m"),
            ("http://h/?x", "http://h/?x"),
        ] {
            let url = base_url(url).unwrap();
            assert_eq!(
                with_path(&url, &PathAndQuery::from_static("/p?q")).to_string(),
                expected
            );
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_its_text() {
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
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("target {text:?}: ")), "{error}");
        }
        let long = format!("{}=http://h:1", "n".repeat(MAX_NAME_BYTES + 1));
        assert!(long.parse::<Target>().is_err());
    }

    #[test]
    fn targets_of_one_name_are_refused() {
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
