//! Targets from DNS: every address of a name, such as a headless Service's, re-resolved at an interval.
//!
//! It queries the name servers of `/etc/resolv.conf` itself, with the search list, and reads `/etc/hosts`. The system's
//! resolver cannot distinguish "no address", which is an empty pool, from "no response", which is a failure.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use tokio::sync::mpsc::Sender;

use crate::target::{Discovered, MAX_TARGETS, Target};

/// How often the name is resolved: the time to live of a headless Service's records.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of a query; the next name server is tried then.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsName {
    /// The name.
    pub host: String,
    port: u16,
}

/// Why a text is not a DNS name with a port.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid DNS name {name:?}: expected HOST:PORT")]
pub struct DnsNameError {
    name: String,
}

/// Why the resolver cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("DNS: the system's configuration (/etc/resolv.conf) cannot be used")]
pub struct DnsConfigError(#[source] NetError);

/// A DNS resolver without a cache.
#[derive(Clone, Debug)]
pub struct Resolver(TokioResolver);

// === impl DnsName ===

impl FromStr for DnsName {
    type Err = DnsNameError;

    fn from_str(text: &str) -> Result<Self, DnsNameError> {
        let parts = text
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)));
        match parts {
            Some((host, port)) if port > 0 && !host.is_empty() && !host.contains(['/', ':', '@']) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(DnsNameError { name: text.to_owned() }),
        }
    }
}

// === impl Resolver ===

impl Resolver {
    /// Uses the system's name servers.
    ///
    /// # Errors
    /// If `/etc/resolv.conf` cannot be used.
    pub fn system() -> Result<Self, DnsConfigError> {
        TokioResolver::builder_tokio()
            .and_then(Self::build)
            .map_err(DnsConfigError)
    }

    /// Uses these name servers.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn with(config: ResolverConfig) -> Result<Self, DnsConfigError> {
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Self::build(builder).map_err(DnsConfigError)
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, NetError> {
        let options = builder.options_mut();
        // A pod of a dual-stack cluster has an address of each family, which would make two targets of it.
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        options.timeout = QUERY_TIMEOUT;
        // Each resolution must see the present records.
        options.cache_size = 0;
        builder.build().map(Self)
    }

    /// The name's addresses, in ascending order. Empty if the name has none or does not exist.
    async fn resolve(&self, name: &DnsName) -> Result<Vec<IpAddr>, NetError> {
        let mut addresses: Vec<IpAddr> = match self.0.lookup_ip(name.host.as_str()).await {
            Ok(found) => found.iter().collect(),
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
            {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

/// Sends the name's targets with this scheme, again whenever they change, until the receiver is dropped.
pub async fn watch(name: DnsName, scheme: Scheme, resolver: Resolver, out: Sender<Discovered>) {
    let mut sent = None;
    loop {
        let current = match resolver.resolve(&name).await {
            Ok(addresses) if addresses.len() > MAX_TARGETS => Discovered::Failing {
                why: format!(
                    "DNS {}: {} addresses, the limit is {MAX_TARGETS}",
                    name.host,
                    addresses.len()
                ),
            },
            Ok(addresses) => Discovered::Targets(
                addresses
                    .into_iter()
                    .filter_map(|address| target(&scheme, SocketAddr::new(address, name.port)))
                    .collect(),
            ),
            Err(error) => Discovered::Failing {
                why: format!("DNS {}: {error}", name.host),
            },
        };
        if sent.as_ref() != Some(&current) {
            sent = Some(current.clone());
            if out.send(current).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RESOLVE_INTERVAL) => {}
            () = out.closed() => return,
        }
    }
}

fn target(scheme: &Scheme, address: SocketAddr) -> Option<Target> {
    let authority = address.to_string();
    let url = Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.as_str())
        .path_and_query(PathAndQuery::from_static("/"))
        .build()
        .ok()?;
    Some(Target {
        name: Arc::from(authority),
        url: Some(url),
        ready: None,
        engine: None,
        role: None,
    })
}

#[cfg(test)]
mod tests;
