//! Every address of a name, such as a headless Service's, resolved again and again.
//!
//! It asks the name servers itself (those of `/etc/resolv.conf`, with its search list; `/etc/hosts` counts, too): the
//! system's own resolver can't tell "no address", which is an empty pool, from "no answer", which says nothing.

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

use super::{Discovered, MAX_TARGETS, Target};

/// How often the name is resolved: what a headless Service's records are valid for.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// How long a name server may take; another is asked then.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsName {
    host: String,
    port: u16,
}

/// Why a name can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("DNS name {name:?}: not HOST:PORT")]
pub struct DnsNameError {
    name: String,
}

/// Why names can't be resolved at all.
#[derive(Debug, thiserror::Error)]
#[error("DNS: the system's configuration (/etc/resolv.conf) cannot be used")]
pub struct DnsConfigError(#[source] NetError);

/// Whom to ask.
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
    /// Asks those whom the system asks.
    pub fn system() -> Result<Self, DnsConfigError> {
        TokioResolver::builder_tokio()
            .and_then(Self::build)
            .map_err(DnsConfigError)
    }

    /// Asks these.
    pub fn with(config: ResolverConfig) -> Result<Self, DnsConfigError> {
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Self::build(builder).map_err(DnsConfigError)
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, NetError> {
        let options = builder.options_mut();
        // A pod of a cluster with both has an address of each kind: both would make two of it.
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        options.timeout = ANSWER_WITHIN;
        // It is asked seldom, and then the truth is wanted.
        options.cache_size = 0;
        builder.build().map(Self)
    }

    /// The addresses, ascending; none where the name has none or is not known.
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

/// Tells the name's targets, and again whenever they change. Returns when nobody listens.
pub async fn watch(name: DnsName, resolver: Resolver, out: Sender<Discovered>) {
    let mut told = None;
    loop {
        let now = match resolver.resolve(&name).await {
            Ok(addresses) if addresses.len() > MAX_TARGETS => Discovered::Failing {
                why: format!(
                    "DNS {}: {} addresses, {MAX_TARGETS} is the most",
                    name.host,
                    addresses.len()
                ),
            },
            Ok(addresses) => Discovered::Targets(
                addresses
                    .into_iter()
                    .filter_map(|address| target(SocketAddr::new(address, name.port)))
                    .collect(),
            ),
            Err(error) => Discovered::Failing {
                why: format!("DNS {}: {error}", name.host),
            },
        };
        if told.as_ref() != Some(&now) {
            told = Some(now.clone());
            if out.send(now).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RESOLVE_EVERY) => {}
            () = out.closed() => return,
        }
    }
}

fn target(address: SocketAddr) -> Option<Target> {
    let authority = address.to_string();
    let url = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority.as_str())
        .path_and_query(PathAndQuery::from_static("/"))
        .build()
        .ok()?;
    Some(Target {
        name: Arc::from(authority),
        url: Some(url),
        ready: None,
        engine: None,
    })
}

#[cfg(test)]
mod tests;
