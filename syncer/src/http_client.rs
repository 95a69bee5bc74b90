//! What the HTTP clients of the syncer share: the connector, its TLS configuration from files, and the `user-agent`.

pub mod access;
pub mod tls;
pub mod tls_error;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// The header `user-agent`.
pub const AGENT: &str = concat!("infertally-syncer/", env!("CARGO_PKG_VERSION"));

/// Connects to `http` and `https` URLs. `tls` is for the latter, see [`tls::client_config`].
pub fn connector(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    connector_for(tls, None)
}

/// Like [`connector`]. Certificates must be for `server_name`, if it is given, instead of the URL's host.
pub fn connector_for(tls: ClientConfig, server_name: Option<ServerName<'static>>) -> HttpsConnector<HttpConnector> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match server_name {
        Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => builder,
    };
    builder.enable_http1().wrap_connector(connector)
}
