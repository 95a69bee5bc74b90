//! [`ServiceRef`], the name of a Service and one of its ports as flags have it: `[NAMESPACE/]NAME[:PORT]`.

use std::num::NonZeroU16;
use std::str::FromStr;

use super::pool_ref::{MAX_NAMESPACE, is_label};

/// A Service, and the port of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    /// `None`: the namespace of the syncer's pod, or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// The Service's name.
    pub name: String,
    /// `None`: its only port.
    pub port: Option<ServicePort>,
}

/// A port of a Service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePort {
    /// The port of this name in the Service. Endpoints may have different numbers for it.
    Name(String),
    /// This port of the pods. The Service need not have it: that of a gateway does not expose the port of the stats.
    Number(NonZeroU16),
}

/// Why a text is not a [`ServiceRef`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid Service `{0}`: expected [NAMESPACE/]NAME[:PORT], where PORT is a number from 1 to 65535 or the name of a port"
)]
pub struct ServiceRefError(String);

// === impl ServiceRef ===

impl FromStr for ServiceRef {
    type Err = ServiceRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ServiceRefError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<ServiceRef> {
    // Names of namespaces, Services and ports are all DNS labels.
    let label = |text: &str| (text.len() <= MAX_NAMESPACE && is_label(text)).then(|| text.to_owned());
    let (namespace, rest) = match text.split_once('/') {
        Some((namespace, rest)) => (Some(label(namespace)?), rest),
        None => (None, text),
    };
    let (name, port) = match rest.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (rest, None),
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(ServicePort::Number(port.parse().ok()?)),
        Some(port) => Some(ServicePort::Name(label(port)?)),
        None => None,
    };
    Some(ServiceRef {
        namespace,
        name: label(name)?,
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_and_port_are_optional() {
        let service = |namespace: Option<&str>, port| ServiceRef {
            namespace: namespace.map(str::to_owned),
            name: "envoy".to_owned(),
            port,
        };
        let number = ServicePort::Number(15090.try_into().unwrap());
        let name = ServicePort::Name("stats".to_owned());
        for (text, expected) in [
            ("envoy", service(None, None)),
            ("envoy:15090", service(None, Some(number.clone()))),
            ("edge/envoy", service(Some("edge"), None)),
            ("edge/envoy:stats", service(Some("edge"), Some(name))),
            ("edge/envoy:15090", service(Some("edge"), Some(number))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_and_ports_that_kubernetes_rejects_are_invalid() {
        let long = "a".repeat(64);
        for text in [
            "", "/", ":", "/a", "a/", "a:", ":1", "a:0", "a:65536", "a:1:2", "A", "a.b", "a/b/c", "a:b_c", "a b", &long,
        ] {
            assert_eq!(text.parse::<ServiceRef>(), Err(ServiceRefError(text.to_owned())));
        }
    }
}
