//! TLS: the certificate and its key, from files that are read again while we run, or self-signed.
//!
//! A pair that can't be used never takes the place of one that can. Connections keep the certificate that they began
//! with.

use std::future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::hash;
use crate::error_chain;
use crate::file;

/// A chain of certificates has some ten thousand bytes; a file a hundred times that is not one.
const PEM_BYTES: u64 = 1024 * 1024;

/// What is said to a client that speaks plain HTTP, as Go's servers do.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
    content-length: 42\r\n\r\nthis port speaks TLS: use https:// for it\n";

/// What TLS is spoken with.
pub struct Tls {
    /// The files, and what they held when we began.
    files: Option<(Files, Pair)>,
    config: RwLock<Arc<ServerConfig>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What the files hold.
#[derive(Clone, PartialEq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not there, not allowed, no file.
    #[error("{path}: cannot be read")]
    Read {
        /// Of the certificate or of the key.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not PEM, or without what it should hold.
    #[error("{path}: no PEM of a {what}")]
    Pem {
        /// Of the certificate or of the key.
        path: PathBuf,
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The two don't belong together, or are of no kind that TLS uses.
    #[error("certificate {certificate} with key {key}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// A certificate for these names can't be made.
    #[error("self-signed certificate for {names:?}")]
    SelfSigned {
        /// What was asked for.
        names: Vec<String>,
        /// What is wrong with them.
        source: rcgen::Error,
    },
    /// A certificate that was made can't be used.
    #[error("self-signed certificate")]
    Unusable(#[source] rustls::Error),
}

/// Why a connection speaks no TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It broke, or what it sent is no TLS that we speak.
    #[error("handshake")]
    Failed(#[from] io::Error),
    /// It speaks plain HTTP; it was told.
    #[error("plain HTTP where TLS is spoken")]
    PlainHttp,
}

// === impl Tls ===

impl Tls {
    /// With a chain of certificates and its key, both PEM.
    ///
    /// # Errors
    /// A file that can't be read, has not what it should, or a key that is not the certificate's.
    pub async fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files { certificate, key };
        let pair = files.read().await?;
        let config = files.config(&pair)?;
        Ok(Self {
            config: RwLock::new(config),
            files: Some((files, pair)),
        })
    }

    /// With a certificate that is made now for the names (of DNS, or addresses); clients can't check it but by its
    /// fingerprint, which is logged.
    ///
    /// # Errors
    /// A name that a certificate can't hold.
    pub fn self_signed(names: Vec<String>) -> Result<Self, TlsError> {
        let made = || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names.clone())?;
            params.distinguished_name.push(DnType::CommonName, "infertally-syncer");
            Ok((params.self_signed(&key)?, key))
        };
        let (certificate, key) = made().map_err(|source| TlsError::SelfSigned {
            names: names.clone(),
            source,
        })?;
        info!(
            ?names,
            sha256 = hash::fingerprint(certificate.der()),
            "self-signed certificate"
        );
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = config(vec![certificate.into()], key).map_err(TlsError::Unusable)?;
        Ok(Self {
            files: None,
            config: RwLock::new(config),
        })
    }

    /// Shakes hands. A client of plain HTTP is told what is wrong.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first.iter().any(u8::is_ascii_uppercase) {
            // Read before it is closed: what lies unread would make a reset of the close, and undo the answer.
            let _count = stream.read(&mut [0; 4096]).await?;
            stream.write_all(PLAIN_HTTP).await?;
            stream.shutdown().await?;
            return Err(HandshakeError::PlainHttp);
        }
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        Ok(TlsAcceptor::from(config).accept(stream).await?)
    }

    /// Reads the files again and again, and takes what is new and can be used. Never returns.
    pub(super) async fn keep_fresh(&self, every: Duration) {
        let Some((files, first)) = &self.files else {
            return future::pending().await;
        };
        // Nothing while the files can't be read.
        let mut seen = Some(first.clone());
        loop {
            sleep(every).await;
            let read = files.read().await;
            if read.as_ref().ok() == seen.as_ref() {
                continue;
            }
            let config = match &read {
                Ok(pair) => files.config(pair).map_err(|error| error_chain(&error)),
                Err(error) => Err(error_chain(error)),
            };
            match config {
                Ok(config) => {
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                    info!(certificate = %files.certificate.display(), "new certificate");
                }
                Err(error) => warn!(error, "the certificate in use is kept"),
            }
            seen = read.ok();
        }
    }
}

impl Files {
    async fn read(&self) -> Result<Pair, TlsError> {
        Ok(Pair {
            certificate: read(&self.certificate).await?,
            key: read(&self.key).await?,
        })
    }

    fn config(&self, pair: &Pair) -> Result<Arc<ServerConfig>, TlsError> {
        let pem = |path: &PathBuf, what| {
            let path = path.clone();
            move |source| TlsError::Pem { path, what, source }
        };
        let chain = CertificateDer::pem_slice_iter(&pair.certificate)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| {
                if chain.is_empty() {
                    Err(pem::Error::NoItemsFound)
                } else {
                    Ok(chain)
                }
            })
            .map_err(pem(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(pem(&self.key, "private key"))?;
        config(chain, key).map_err(|source| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    file::read(path, PEM_BYTES).await.map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// rustls holds the key against the certificate.
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
