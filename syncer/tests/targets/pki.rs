//! Certificate authorities and the certificates that they sign.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::rustls::{ALL_VERSIONS, RootCertStore, ServerConfig};

/// A certificate authority.
pub struct Ca {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

/// How a server treats certificates of clients.
pub enum Clients<'a> {
    Anonymous,
    /// It requests a certificate of this authority.
    Optional(&'a Ca),
    /// It requires one.
    Required(&'a Ca),
}

// === impl Ca ===

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these DNS names or addresses.
    pub fn sign(&self, names: &[&str]) -> Pair {
        self.sign_valid(names, 1975, 4096)
    }

    /// One that is valid from the first to the second year.
    pub fn sign_valid(&self, names: &[&str], from: i32, to: i32) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair::new(&certificate, &key)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        Arc::new(roots)
    }
}

// === impl Pair ===

impl Pair {
    /// Signed by itself; `is_ca` as `openssl req -x509` sets it.
    pub fn self_signed(name: &str, is_ca: bool) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }

    /// The certificate of one with the key of the other.
    pub fn mixed(a: &Self, b: &Self) -> Self {
        Self {
            certificate: a.certificate.clone(),
            key: b.key.clone(),
            der: a.der.clone(),
            key_der: b.key_der.clone(),
        }
    }

    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// A server with this certificate, of any client.
    pub fn server(&self) -> ServerConfig {
        self.server_of(&Clients::Anonymous, false)
    }

    /// A server with this certificate, with TLS 1.2 only if `tls12`.
    pub fn server_of(&self, clients: &Clients<'_>, tls12: bool) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let verifier: Arc<dyn ClientCertVerifier> = match clients {
            Clients::Anonymous => WebPkiClientVerifier::no_client_auth(),
            Clients::Optional(ca) => WebPkiClientVerifier::builder_with_provider(ca.roots(), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .unwrap(),
            Clients::Required(ca) => WebPkiClientVerifier::builder_with_provider(ca.roots(), Arc::clone(&provider))
                .build()
                .unwrap(),
        };
        let versions = if tls12 { &[&TLS12] } else { ALL_VERSIONS };
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![self.der.clone()],
                PrivateKeyDer::try_from(self.key_der.clone()).unwrap(),
            )
            .unwrap()
    }
}
