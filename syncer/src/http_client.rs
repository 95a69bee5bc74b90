//! The connector and the `user-agent` that all HTTP clients of the syncer share.

pub mod tls;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio_rustls::rustls::ClientConfig;

/// The header `user-agent`.
pub const AGENT: &str = concat!("infertally-syncer/", env!("CARGO_PKG_VERSION"));

/// Connects to `http` and `https` URLs. `tls` is for the latter, see [`tls::client_config`].
pub fn connector(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector)
}
