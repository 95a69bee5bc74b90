//! [`PoolRef`], one InferencePool or all of a namespace as flags have it: `[NAMESPACE/]NAME` or `[NAMESPACE/]*`. Validates
//! names, because they become part of a request's path and field selector.

use std::fmt;
use std::str::FromStr;

use crate::target::PoolId;

/// Kubernetes' limit for a namespace (a DNS label).
pub(super) const MAX_NAMESPACE: usize = 63;
/// Kubernetes' limit for an object's name (a DNS subdomain).
const MAX_NAME: usize = 253;

/// One InferencePool, or all of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRef {
    /// `None`: the namespace of the syncer's pod, or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// Which of them.
    pub pools: PoolSelection,
}

/// Which InferencePools of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolSelection {
    /// The one of this name.
    Named(String),
    /// All, those that are created later too.
    All,
}

/// Why a text is not a [`PoolRef`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefError {
    /// The part before the slash is invalid.
    #[error("invalid namespace `{0}`: expected up to 63 of a-z, 0-9 and `-`, without `-` at either end")]
    Namespace(String),
    /// The part after the slash is invalid.
    #[error(
        "invalid InferencePool name `{0}`: expected up to 253 of a-z, 0-9, `-` and `.`, with a letter or digit at each end"
    )]
    Name(String),
}

// === impl PoolRef ===

impl PoolRef {
    /// Its identity, if it is in this namespace unless it names another one.
    pub fn id(&self, default_namespace: &str) -> PoolId {
        PoolId::new(
            self.namespace.as_deref().unwrap_or(default_namespace),
            self.pools.as_str(),
        )
    }
}

impl FromStr for PoolRef {
    type Err = PoolRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        if let Some(namespace) = namespace
            && !(namespace.len() <= MAX_NAMESPACE && is_label(namespace))
        {
            return Err(PoolRefError::Namespace(namespace.to_owned()));
        }
        let namespace = namespace.map(str::to_owned);
        if name == PoolId::ALL {
            let pools = PoolSelection::All;
            return Ok(Self { namespace, pools });
        }
        if name.len() > MAX_NAME || !name.split('.').all(is_label) {
            return Err(PoolRefError::Name(name.to_owned()));
        }
        let pools = PoolSelection::Named(name.to_owned());
        Ok(Self { namespace, pools })
    }
}

impl fmt::Display for PoolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.pools.as_str())
    }
}

// === impl PoolSelection ===

impl PoolSelection {
    fn as_str(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::All => PoolId::ALL,
        }
    }
}

pub(super) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_optional() {
        let pool: PoolRef = "chat".parse().unwrap();
        assert_eq!((pool.namespace.as_deref(), pool.pools.as_str()), (None, "chat"));
        let pool: PoolRef = "inference/vllm-llama3.8b".parse().unwrap();
        assert_eq!(pool.namespace.as_deref(), Some("inference"));
        assert_eq!(pool.pools, PoolSelection::Named("vllm-llama3.8b".to_owned()));
        assert_eq!(pool.to_string(), "inference/vllm-llama3.8b");
    }

    #[test]
    fn a_star_is_all_pools_of_a_namespace() {
        for (text, namespace) in [("*", None), ("inference/*", Some("inference"))] {
            let pool: PoolRef = text.parse().unwrap();
            assert_eq!(
                (pool.namespace.as_deref(), &pool.pools),
                (namespace, &PoolSelection::All)
            );
            assert_eq!(pool.to_string(), text);
        }
        // In all namespaces, which is not supported.
        assert!("*/*".parse::<PoolRef>().is_err());
        assert!("*/chat".parse::<PoolRef>().is_err());
        assert!("chat*".parse::<PoolRef>().is_err());
    }

    #[test]
    fn names_that_kubernetes_rejects_are_invalid() {
        for text in [
            "", "/", "a/", "-a", "a-", "A", "a_b", "a,b", "a..b", "x/a/b", "a=b", "a b", "é",
        ] {
            assert!(
                matches!(text.parse::<PoolRef>(), Err(PoolRefError::Name(_))) || text == "/",
                "{text}"
            );
        }
        for text in ["/a", "/", "A/a", "a.b/c", "a b/c"] {
            assert!(
                matches!(text.parse::<PoolRef>(), Err(PoolRefError::Namespace(_))),
                "{text}"
            );
        }
        assert!("a".repeat(253).parse::<PoolRef>().is_ok());
        assert!("a".repeat(254).parse::<PoolRef>().is_err());
        assert!(format!("{}/a", "a".repeat(63)).parse::<PoolRef>().is_ok());
        assert!(format!("{}/a", "a".repeat(64)).parse::<PoolRef>().is_err());
    }
}
