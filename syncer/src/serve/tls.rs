//! TLS with a certificate and key from files, which are read again while the server runs, or with a self-signed
//! certificate.
//!
//! Files that cannot be used never replace a certificate that can. A connection keeps the certificate of its handshake.

use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::digest::{SHA256, digest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::error_chain;
use crate::file::{self, Reload};

/// A certificate chain has some ten thousand bytes; a file a hundred times that is not one.
const PEM_BYTES: u64 = 1024 * 1024;

/// The response to plain HTTP, as Go's servers send it.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
    content-length: 42\r\n\r\nthis port speaks TLS: use https:// for it\n";

/// The TLS side of a server.
pub struct Tls {
    /// The files, and what they held at the start.
    files: Option<(Files, Pem)>,
    config: watch::Sender<Arc<ServerConfig>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The bytes of both files.
type Pem = (Vec<u8>, Vec<u8>);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0}: cannot be read")]
    Read(PathBuf, #[source] io::Error),
    /// A file has no certificate, or no key.
    #[error("{0}: no {1} in PEM")]
    Pem(PathBuf, &'static str, #[source] pem::Error),
    /// The key is not the certificate's, or of a kind that TLS does not use.
    #[error("certificate {0} with key {1}")]
    Pair(PathBuf, PathBuf, #[source] rustls::Error),
    /// No usable certificate can be made for the names.
    #[error("self-signed certificate for {0:?}")]
    SelfSigned(Vec<String>, #[source] BoxError),
}

// === impl Tls ===

impl Tls {
    /// TLS with a certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// A file cannot be read, holds something else, or the key is not the certificate's.
    pub async fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files { certificate, key };
        let pem = files.read().await?;
        let config = watch::Sender::new(files.config(&pem)?);
        Ok(Self {
            config,
            files: Some((files, pem)),
        })
    }

    /// TLS with a certificate made now for the names (of DNS, or addresses). Clients can verify it only by its
    /// fingerprint, which is logged.
    ///
    /// # Errors
    /// A certificate cannot hold one of the names.
    pub fn self_signed(names: Vec<String>) -> Result<Self, TlsError> {
        let config = self_signed(&names).map_err(|source| TlsError::SelfSigned(names, source))?;
        Ok(Self {
            files: None,
            config: watch::Sender::new(config),
        })
    }

    /// The server's side of the handshake. A client that speaks plain HTTP gets 400.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first.iter().any(u8::is_ascii_uppercase) {
            stream.write_all(PLAIN_HTTP).await?;
            return Err(io::Error::other("plain HTTP on a TLS port; replied with 400"));
        }
        let config = Arc::clone(&self.config.borrow());
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Reads the files at the interval and on requests, and uses what is new and valid. Never returns.
    pub(super) async fn reload(&self, interval: Duration, mut requests: Reload) {
        let Some((files, first)) = &self.files else {
            return pending().await;
        };
        let mut last = Ok(first.clone());
        loop {
            requests.requested_within(interval).await;
            let read = files.read().await.map_err(|error| error_chain(&error));
            if read == last {
                continue;
            }
            let config = match &read {
                Ok(pem) => files.config(pem).map_err(|error| error_chain(&error)),
                Err(error) => Err(error.clone()),
            };
            match config {
                Ok(config) => {
                    self.config.send_replace(config);
                    info!(certificate = %files.certificate.display(), "reloaded the certificate");
                }
                Err(error) => warn!(error, "cannot reload the certificate; keeping the one in use"),
            }
            last = read;
        }
    }
}

// === impl Files ===

impl Files {
    async fn read(&self) -> Result<Pem, TlsError> {
        Ok((read(&self.certificate).await?, read(&self.key).await?))
    }

    fn config(&self, (certificate, key): &Pem) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| {
                if chain.is_empty() {
                    Err(pem::Error::NoItemsFound)
                } else {
                    Ok(chain)
                }
            })
            .map_err(|source| TlsError::Pem(self.certificate.clone(), "certificate", source))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|source| TlsError::Pem(self.key.clone(), "private key", source))?;
        config(chain, key).map_err(|source| TlsError::Pair(self.certificate.clone(), self.key.clone(), source))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = file::read(path, PEM_BYTES).await;
    read.map_err(|source| TlsError::Read(path.to_owned(), source))
}

fn self_signed(names: &[String]) -> Result<Arc<ServerConfig>, BoxError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "infertally-syncer");
    let certificate = params.self_signed(&key)?;
    info!(
        ?names,
        sha256 = fingerprint(certificate.der()),
        "made a self-signed certificate"
    );
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Ok(config(vec![certificate.into()], key)?)
}

/// rustls checks that the key is the certificate's.
fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The SHA-256 as `openssl x509 -fingerprint` writes it.
fn fingerprint(certificate: &[u8]) -> String {
    let hash = digest(&SHA256, certificate);
    let digits: Vec<_> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    digits.join(":")
}
