//! Changes to the shipped `envoy.yaml` that several tests need. Each names the text that it replaces, and fails if that is
//! missing.

use crate::Result;
use crate::envoy::EnvoyConfig;

const ROUTE: &str = "              - match: {prefix: /}\n";
const FILTER: &str = "          - name: infertally\n";
const ROUTER: &str = "          - name: envoy.filters.http.router\n";
const CLUSTERS: &str = "  clusters:\n";
const MODEL_SERVER: &str = "\n  - name: model_server\n";
const CONNECTION_MANAGER: &str = "          stat_prefix: inference\n";

/// HTTP/2 to the servers, as an entry of a cluster.
pub const HTTP2: &str = r#"typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}"#;

/// Adds routes, one a line, before the shipped one.
///
/// # Errors
/// If the shipped route is missing.
pub fn routes(config: EnvoyConfig, routes: &[&str]) -> Result<EnvoyConfig> {
    let lines: String = routes
        .iter()
        .map(|route| format!("              - {{{route}}}\n"))
        .collect();
    config.replace(ROUTE, &format!("{lines}{ROUTE}"))
}

/// Adds entries to the shipped route's action.
///
/// # Errors
/// If the shipped route is missing.
pub fn route_action(config: EnvoyConfig, more: &str) -> Result<EnvoyConfig> {
    config.replace(
        "{cluster: model_server, ",
        &format!("{{cluster: model_server, {more}, "),
    )
}

/// Adds clusters, one a line.
///
/// # Errors
/// If the shipped clusters are missing.
pub fn clusters(config: EnvoyConfig, clusters: &[&str]) -> Result<EnvoyConfig> {
    let lines: String = clusters
        .iter()
        .map(|cluster| format!("  - {{connect_timeout: 5s, {cluster}}}\n"))
        .collect();
    config.replace(CLUSTERS, &format!("{CLUSTERS}{lines}"))
}

/// The entries of a cluster with one server on this port.
pub fn cluster(name: &str, port: u16) -> String {
    format!(
        "name: {name}, load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: \
         {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}"
    )
}

/// Adds an entry to the model server's cluster.
///
/// # Errors
/// If the cluster is missing.
pub fn model_server(config: EnvoyConfig, entry: &str) -> Result<EnvoyConfig> {
    config.replace(MODEL_SERVER, &format!("{MODEL_SERVER}    {entry}\n"))
}

/// Adds an entry to the inference listener's connection manager.
///
/// # Errors
/// If it is missing.
pub fn connection_manager(config: EnvoyConfig, entry: &str) -> Result<EnvoyConfig> {
    config.replace(CONNECTION_MANAGER, &format!("{CONNECTION_MANAGER}          {entry}\n"))
}

/// Adds a filter, an entry of the list, before infertally.
///
/// # Errors
/// If infertally is missing.
pub fn filter_before(config: EnvoyConfig, filter: &str) -> Result<EnvoyConfig> {
    config.replace(FILTER, &format!("          - {{{filter}}}\n{FILTER}"))
}

/// Adds a filter between infertally and the router.
///
/// # Errors
/// If either is missing.
pub fn filter_after(config: EnvoyConfig, filter: &str) -> Result<EnvoyConfig> {
    let (start, end) = infertally(&config)?;
    let old = config.text().get(start..end).unwrap_or_default().to_owned();
    config.replace(&old, &format!("{old}          - {{{filter}}}\n"))
}

/// Removes infertally.
///
/// # Errors
/// If it is missing.
pub fn without_infertally(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let (start, end) = infertally(&config)?;
    let old = config.text().get(start..end).unwrap_or_default().to_owned();
    config.replace(&old, "")
}

/// A filter as an entry of the list; `config` continues its `typed_config`.
pub fn filter(name: &str, kind: &str, config: &str) -> String {
    format!(
        r#"name: envoy.filters.http.{name}, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.{name}.v3.{kind}{config}}}"#
    )
}

/// The start and end of infertally's entry.
fn infertally(config: &EnvoyConfig) -> Result<(usize, usize)> {
    let start = config.text().find(FILTER).ok_or("envoy.yaml lacks the filter")?;
    let after = config.text().get(start..).unwrap_or_default();
    let length = after.find(ROUTER).ok_or("envoy.yaml lacks the router")?;
    Ok((start, start + length))
}
