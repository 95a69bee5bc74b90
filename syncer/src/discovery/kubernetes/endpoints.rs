//! [`Slice`], what matters of an EndpointSlice, and the targets that the slices of a Service have. Pure.
//!
//! Every endpoint is a target, whatever its conditions. One that is not ready, or terminates while its last requests end,
//! still holds what it has counted, and Prometheus must read its last increments. Kubernetes removes an endpoint once its
//! pod has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::service_ref::ServicePort;
use crate::target::Target;

/// The endpoints and ports of one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// Port numbers by name; the only port of a Service may have the name "".
    ports: BTreeMap<String, u16>,
    endpoints: Vec<Endpoint>,
}

/// An endpoint with its first address. All its addresses reach the same process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    address: IpAddr,
    /// The pod; `None` in slices that no controller of Kubernetes maintains.
    pod: Option<String>,
}

/// Why the slices have no targets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EndpointsError {
    /// There are no slices. A Service with a selector has at least one, without endpoints.
    #[error("no EndpointSlices: there is no Service of that name, or it has neither a selector nor endpoints")]
    NoSlices,
    /// The user has to choose a port.
    #[error("it has several ports ({}): append :PORT", list(.0))]
    SeveralPorts(BTreeSet<String>),
    /// There is no port of the user's name.
    #[error("it has no port {port:?}; its ports: {}", list(.ports))]
    NoSuchPort {
        /// The name.
        port: String,
        /// Those that it has.
        ports: BTreeSet<String>,
    },
    /// The slices have endpoints and no port.
    #[error("it has no ports: append the number of the stats' port, :PORT")]
    NoPorts,
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}

// === impl Slice ===

impl From<&EndpointSlice> for Slice {
    fn from(slice: &EndpointSlice) -> Self {
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            let is_tcp = port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
            let number = port.port.and_then(|number| u16::try_from(number).ok());
            let name = port.name.clone().unwrap_or_default();
            is_tcp.then_some((name, number.filter(|number| *number > 0)?))
        });
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            Some(Endpoint {
                // Slices of type FQDN have names, which are no endpoints of pods.
                address: endpoint.addresses.first()?.parse().ok()?,
                pod: endpoint.target_ref.as_ref().and_then(key),
            })
        });
        Self {
            ports: ports.collect(),
            endpoints: endpoints.collect(),
        }
    }
}

impl Slice {
    fn port(&self, port: Option<&ServicePort>) -> Option<u16> {
        match port {
            Some(ServicePort::Number(number)) => Some(number.get()),
            Some(ServicePort::Name(name)) => self.ports.get(name).copied(),
            None => self.ports.values().next().copied(),
        }
    }
}

/// Identifies a pod over all slices.
fn key(pod: &ObjectReference) -> Option<String> {
    pod.uid.clone().or_else(|| pod.name.clone())
}

/// The targets of a Service's slices, sorted by address. A pod is one target: in a dual-stack cluster it has an endpoint in
/// a slice of each family, and the controller may list it in two slices for a moment. IPv4 is preferred, as by DNS.
///
/// # Errors
/// There are no slices, or it is not clear which port is meant.
pub(super) fn targets(
    slices: &BTreeMap<String, Slice>,
    port: Option<&ServicePort>,
) -> Result<Vec<Target>, EndpointsError> {
    if slices.is_empty() {
        return Err(EndpointsError::NoSlices);
    }
    check_port(slices, port)?;
    let mut by_pod: BTreeMap<&str, SocketAddr> = BTreeMap::new();
    let mut addresses = BTreeSet::new();
    for slice in slices.values() {
        let Some(port) = slice.port(port) else { continue };
        for endpoint in &slice.endpoints {
            let address = SocketAddr::new(endpoint.address, port);
            match &endpoint.pod {
                // `SocketAddr`s are ordered, IPv4 first.
                Some(pod) => {
                    let first = by_pod.entry(pod).or_insert(address);
                    *first = address.min(*first);
                }
                None => {
                    addresses.insert(address);
                }
            }
        }
    }
    addresses.extend(by_pod.into_values());
    Ok(addresses.into_iter().filter_map(target).collect())
}

/// Checks that each slice has at most one port that is meant. Slices without endpoints may have no ports at all.
fn check_port(slices: &BTreeMap<String, Slice>, port: Option<&ServicePort>) -> Result<(), EndpointsError> {
    let names = || -> BTreeSet<String> { slices.values().flat_map(|slice| slice.ports.keys().cloned()).collect() };
    let without_endpoints = slices.values().all(|slice| slice.endpoints.is_empty());
    match port {
        Some(ServicePort::Number(_)) => Ok(()),
        Some(ServicePort::Name(name)) => match names() {
            ports if ports.contains(name) || without_endpoints => Ok(()),
            ports => Err(EndpointsError::NoSuchPort {
                port: name.clone(),
                ports,
            }),
        },
        None => match names() {
            ports if ports.len() > 1 => Err(EndpointsError::SeveralPorts(ports)),
            ports if ports.is_empty() && !without_endpoints => Err(EndpointsError::NoPorts),
            _ => Ok(()),
        },
    }
}

fn target(address: SocketAddr) -> Option<Target> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(address.to_string().parse().ok()?);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Some(Target {
        name: Arc::from(address.to_string()),
        url: Some(Uri::from_parts(parts).ok()?),
        ready: None,
        engine: None,
        role: None,
    })
}

#[cfg(test)]
mod tests;
