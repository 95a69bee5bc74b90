//! Certificates for tests, and clients that trust one of them.

use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::harness::{Client, TestServer, in_time};
use infertally_harness::Mount;

/// A certificate for localhost and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

// === impl Pair ===

impl Pair {
    pub fn new() -> Self {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// Mounts the pair as the kubelet mounts a Secret.
    pub fn mount(&self, dir: &Mount, version: &str) {
        dir.mount(version, &[("tls.crt", &self.certificate), ("tls.key", &self.key)])
            .unwrap();
    }

    /// Connects, if the server presents this certificate.
    pub async fn connect(&self, server: &TestServer, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = server.connect().await.stream;
        let name = ServerName::try_from("localhost").unwrap();
        in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// The same, for HTTP/1.1.
    pub async fn client(&self, server: &TestServer) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        Ok(Client::new(self.connect(server, b"http/1.1").await?))
    }
}
