//! The TLS configuration of HTTP clients: which certificate authorities they trust, and their own certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier, client,
};

use crate::file;

/// A bundle of all public certificate authorities has 250 KB.
const MAX_PEM_BYTES: u64 = 4 * 1024 * 1024;

/// The files of a client's TLS configuration, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate authorities to trust; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain, and its private key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Accept any certificate of a server.
    pub insecure_skip_verify: bool,
}

/// What the files contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPem {
    ca: Option<Vec<u8>>,
    client_certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why the TLS configuration cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read or holds no certificate.
    #[error("CA file {path} cannot be used")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read, contains something else, or the key is not the certificate's.
    #[error("client certificate {certificate} with key {key} cannot be used")]
    ClientCertificate {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// rustls refuses its own default protocol versions.
    #[error("TLS cannot be set up")]
    Setup(#[source] Error),
}

/// Accepts any certificate. The server must still prove that it has the certificate's key.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

/// Trusts the certificate authorities in `ca_file` (PEM), without it the system's. A system without any, such as an empty
/// container, is no error.
///
/// # Errors
/// If `ca_file` cannot be read or holds no certificate.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let files = TlsFiles {
        ca: ca_file.map(Path::to_owned),
        ..TlsFiles::default()
    };
    let ca = ca_file.map(std::fs::read).transpose();
    let pem = TlsPem {
        ca: ca.map_err(|source| files.ca_error(source))?,
        client_certificate: None,
    };
    files.config(&pem)
}

// === impl TlsFiles ===

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub async fn read(&self) -> Result<TlsPem, TlsError> {
        let mut pem = TlsPem::default();
        if let Some(path) = &self.ca {
            let read = file::read(path, MAX_PEM_BYTES).await;
            pem.ca = Some(read.map_err(|source| self.ca_error(source))?);
        }
        if let Some((certificate, key)) = &self.client_certificate {
            let read = async {
                let certificate = named(certificate, file::read(certificate, MAX_PEM_BYTES).await)?;
                Ok((certificate, named(key, file::read(key, MAX_PEM_BYTES).await)?))
            };
            let read = read.await.map_err(|source| client_error(certificate, key, source))?;
            pem.client_certificate = Some(read);
        }
        Ok(pem)
    }

    /// The configuration with these contents.
    ///
    /// # Errors
    /// If a content is not what its file is for.
    pub fn config(&self, pem: &TlsPem) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = self.verifier(builder, pem, provider)?;
        let (Some((certificate, key)), Some(files)) = (&pem.client_certificate, &self.client_certificate) else {
            return Ok(builder.with_no_client_auth());
        };
        let failed = |source| client_error(&files.0, &files.1, source);
        let chain = certificates(certificate).map_err(|error| failed(about(&files.0, &error)))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| failed(about(&files.1, &error)))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| failed(io::Error::other(error)))
    }

    fn verifier(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsVerifier>,
        pem: &TlsPem,
        provider: Arc<CryptoProvider>,
    ) -> Result<ConfigBuilder<ClientConfig, client::WantsClientCert>, TlsError> {
        if self.insecure_skip_verify {
            let verifier = Arc::new(NoVerification(provider));
            return Ok(builder.dangerous().with_custom_certificate_verifier(verifier));
        }
        let roots = match &pem.ca {
            Some(pem) => roots(pem).map_err(|source| self.ca_error(source))?,
            None => system_roots(),
        };
        Ok(builder.with_root_certificates(roots))
    }

    fn ca_error(&self, source: io::Error) -> TlsError {
        TlsError::CaFile {
            path: self.ca.clone().unwrap_or_default(),
            source,
        }
    }
}

fn client_error(certificate: &Path, key: &Path, source: io::Error) -> TlsError {
    TlsError::ClientCertificate {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    }
}

/// An error about one of two files.
fn about(path: &Path, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

fn named<T>(path: &Path, read: io::Result<T>) -> io::Result<T> {
    read.map_err(|error| about(path, &error))
}

fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all.map_err(io::Error::other)? {
        all if all.is_empty() => Err(io::Error::other("it holds no certificate")),
        all => Ok(all),
    }
}

fn roots(pem: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!(%error, "ignoring a root certificate of the system");
    }
    roots.add_parsable_certificates(system.certs);
    roots
}

// === impl NoVerification ===

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
