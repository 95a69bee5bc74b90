//! The model servers' addresses: one host, and one or more ports.

use std::sync::Arc;

use http::Uri;

use super::error::{ConfigErrorKind, Position};
use super::schema::{Errors, join, shortened};
use super::yaml::{Node, Value};

const DEFAULT_HOST: &str = "localhost";
/// vLLM's default.
const DEFAULT_PORT: u16 = 8000;
/// A pod has a port per data-parallel rank; nodes have 8 or 16 accelerators.
pub const MAX_SERVERS: usize = 64;

/// A scheme and a host that make a URL with any port.
pub(super) struct Host {
    scheme: &'static str,
    name: String,
}

// === impl Host ===

impl Host {
    pub fn with_port(&self, port: u16) -> Option<Uri> {
        let Self { scheme, name } = self;
        let uri = format!("{scheme}://{name}:{port}").parse::<Uri>().ok();
        uri.filter(|uri| uri.host() == Some(name))
    }
}

/// The ports of `ports`, else of `port`, else the default one. None if any is invalid.
pub(super) fn ports(errors: &mut Errors, port: Option<&Node>, ports: Option<&Node>, path: &str) -> Option<Vec<u16>> {
    let single = port.map(|node| (node, errors.port(node, &join(path, "port"))));
    let Some(node) = ports else {
        return Some(vec![single.map_or(Some(DEFAULT_PORT), |(_, port)| port)?]);
    };
    let list_path = join(path, "ports");
    let Value::List(nodes) = &node.value else {
        errors.wrong_type(node, &list_path, "a list");
        return None;
    };
    let (found, max) = (nodes.len(), MAX_SERVERS);
    if nodes.is_empty() {
        errors.add(node.position, list_path, ConfigErrorKind::EmptyList);
        return None;
    }
    if found > max {
        errors.add(node.position, list_path, ConfigErrorKind::TooManyServers { found, max });
        return None;
    }
    let mut list = Vec::new();
    let mut valid = true;
    for (index, node) in nodes.iter().enumerate() {
        let path = format!("{list_path}[{index}]");
        match errors.port(node, &path) {
            Some(port) if list.contains(&port) => errors.add(node.position, path, ConfigErrorKind::DuplicatePort(port)),
            Some(port) => list.push(port),
            None => valid = false,
        }
    }
    if let Some((node, port)) = single {
        match port {
            Some(port) if valid && !list.contains(&port) => {
                errors.add(node.position, join(path, "port"), ConfigErrorKind::PortNotInPorts(port));
            }
            Some(_) => {}
            None => valid = false,
        }
    }
    valid.then_some(list)
}

/// A host such as `localhost`, `10.0.0.1`, `::1` or `https://model.example`.
pub(super) fn host(errors: &mut Errors, host: Option<&Node>, path: &str) -> Option<Host> {
    let (text, position) = match host {
        Some(node) => (errors.string(node, path)?, node.position),
        None => (Arc::from(DEFAULT_HOST), Position::START),
    };
    let (scheme, name) = text.split_once("://").unwrap_or(("http", &text));
    let name = if name.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    let scheme = ["http", "https"].into_iter().find(|known| *known == scheme);
    let host = scheme.filter(|_| !name.is_empty()).map(|scheme| Host { scheme, name });
    let host = host.filter(|host| host.with_port(DEFAULT_PORT).is_some());
    if host.is_none() {
        errors.add(position, path, ConfigErrorKind::InvalidHost(shortened(&text)));
    }
    host
}
