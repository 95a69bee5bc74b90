//! [`Access`], the TLS configuration and the bearer token of a client's requests, from files that are read again while the
//! syncer runs.
//!
//! Files that cannot be used never replace files that could. TLS files and the token are independent of each other.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::sleep;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls::{TlsError, TlsFiles, TlsPem};
use crate::error::error_chain;
use crate::file;

/// Service account tokens have one or two thousand bytes.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;
/// How often the files are read. Modification times are not enough: the kubelet swaps a symbolic link.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Time between the two reads that must agree. A certificate and its key are written one after the other.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// Where the access of a client's requests comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// The TLS configuration.
    pub tls: TlsFiles,
    /// The name that servers' certificates must have, instead of the URL's host.
    pub server_name: Option<ServerName<'static>>,
    /// The bearer token.
    pub token: Option<PathBuf>,
    /// Send the token to `http` URLs, too.
    pub token_over_http: bool,
}

/// What requests are sent with.
#[derive(Clone, Debug)]
pub struct Access {
    /// For `https` URLs.
    pub tls: ClientConfig,
    /// See [`AccessFiles::server_name`].
    pub server_name: Option<ServerName<'static>>,
    /// The header `authorization`.
    pub authorization: Option<HeaderValue>,
    /// Whether `authorization` is sent to `http` URLs, too.
    pub token_over_http: bool,
}

/// What the files contained when they were last read.
#[derive(Debug)]
pub struct Contents {
    tls: Content<TlsPem>,
    token: Content<Option<HeaderValue>>,
}

/// The content, or why it cannot be read.
type Content<T> = Result<T, String>;

/// Which part of [`Access`] is new.
#[derive(Clone, Debug)]
pub enum Change {
    /// The TLS configuration.
    Tls(Box<ClientConfig>),
    /// The header `authorization`.
    Authorization(HeaderValue),
}

/// Why there is no access.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token file cannot be read.
    #[error("token file {0} cannot be read")]
    Token(PathBuf, #[source] io::Error),
    /// A header cannot hold what is in the file.
    #[error("token file {0}: not one token of visible ASCII")]
    InvalidToken(PathBuf),
}

// === impl Access ===

impl Access {
    /// TLS without a token.
    pub fn new(tls: ClientConfig) -> Self {
        Self {
            tls,
            server_name: None,
            authorization: None,
            token_over_http: false,
        }
    }
}

// === impl AccessFiles ===

impl AccessFiles {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub async fn open(&self) -> Result<(Access, Contents), AccessError> {
        let tls = self.tls.read().await?;
        let authorization = self.authorization().await?;
        let access = Access {
            tls: self.tls.config(&tls)?,
            server_name: self.server_name.clone(),
            authorization: authorization.clone(),
            token_over_http: self.token_over_http,
        };
        let contents = Contents {
            tls: Ok(tls),
            token: Ok(authorization),
        };
        Ok((access, contents))
    }

    /// Calls `apply` whenever a file has changed and can be used. Never returns.
    pub async fn watch(&self, mut last: Contents, mut apply: impl FnMut(Change)) -> Infallible {
        loop {
            sleep(POLL_INTERVAL).await;
            if let Some(tls) = settled(&last.tls, || self.read_tls()).await {
                let config = tls.as_ref().map_err(Clone::clone);
                let config = config.and_then(|pem| self.tls.config(pem).map_err(|error| error_chain(&error)));
                match config {
                    Ok(config) => {
                        tracing::info!("reloaded the TLS files for scrapes; connections are opened again");
                        apply(Change::Tls(Box::new(config)));
                    }
                    Err(error) => {
                        tracing::warn!(error, "cannot reload the TLS files for scrapes; keeping those in use");
                    }
                }
                last.tls = tls;
            }
            if let Some(token) = settled(&last.token, || self.read_token()).await {
                match &token {
                    Ok(Some(header)) => {
                        tracing::info!("reloaded the bearer token for scrapes");
                        apply(Change::Authorization(header.clone()));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(
                            error,
                            "cannot reload the bearer token for scrapes; keeping the one in use"
                        );
                    }
                }
                last.token = token;
            }
        }
    }

    /// Whether there is a file to watch.
    pub fn is_watched(&self) -> bool {
        let Self { tls, token, .. } = self;
        tls.ca.is_some() || tls.client_certificate.is_some() || token.is_some()
    }

    async fn read_tls(&self) -> Content<TlsPem> {
        self.tls.read().await.map_err(|error| error_chain(&error))
    }

    async fn read_token(&self) -> Content<Option<HeaderValue>> {
        self.authorization().await.map_err(|error| error_chain(&error))
    }

    /// The header with the token of the file, without blanks and newlines around it.
    async fn authorization(&self) -> Result<Option<HeaderValue>, AccessError> {
        let Some(path) = &self.token else { return Ok(None) };
        let read = file::read(path, MAX_TOKEN_BYTES).await;
        let read = read.map_err(|error| AccessError::Token(path.clone(), error))?;
        let token = read.trim_ascii();
        match HeaderValue::from_bytes(&[b"Bearer ", token].concat()) {
            Ok(mut header) if !token.is_empty() && token.iter().all(u8::is_ascii_graphic) => {
                header.set_sensitive(true);
                Ok(Some(header))
            }
            _ => Err(AccessError::InvalidToken(path.clone())),
        }
    }
}

/// Content that differs from the last and that two reads agree on.
async fn settled<T: PartialEq, F: Future<Output = Content<T>>>(
    last: &Content<T>,
    read: impl Fn() -> F,
) -> Option<Content<T>> {
    let mut current = read().await;
    while current != *last {
        sleep(SETTLE_TIME).await;
        let previous = std::mem::replace(&mut current, read().await);
        if previous == current {
            return Some(current);
        }
    }
    None
}
