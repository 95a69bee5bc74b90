//! A bearer token from a file. The file is read for each request: it is small, a scrape is rare, and so a new token
//! counts at once, however it came (a mounted Secret changes by a link that is swapped).

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use subtle::ConstantTimeEq;
use tracing::{info, warn};

use super::{Refusal, is_token};
use crate::error_chain;
use crate::file;
use crate::serve::limits::HEADER_BYTES;

/// The file of a token.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    /// Whether it could not be used when it was read last, so that this is logged once.
    broken: AtomicBool,
}

/// Why the file opens to nobody.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not there, not allowed, no file.
    #[error("token file {path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing in it that can be sent as a token.
    #[error("token file {path}: not one token of visible ASCII")]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

// === impl TokenFile ===

impl TokenFile {
    /// The file at the path, which has a token now.
    ///
    /// # Errors
    /// It has none.
    pub async fn open(path: PathBuf) -> Result<Self, TokenError> {
        let file = Self {
            path,
            broken: AtomicBool::new(false),
        };
        file.read().await?;
        Ok(file)
    }

    /// Whether this is the token. Takes the same time for any token of the right length.
    pub(super) async fn check(&self, token: &str) -> Result<(), Refusal> {
        let read = self.read().await;
        let was_broken = self.broken.swap(read.is_err(), Ordering::Relaxed);
        match read {
            Ok(expected) => {
                if was_broken {
                    info!(path = %self.path.display(), "the token can be read again");
                }
                if token.as_bytes().ct_eq(&expected).into() {
                    Ok(())
                } else {
                    Err(Refusal::Unauthorized)
                }
            }
            Err(error) => {
                if !was_broken {
                    warn!(error = error_chain(&error), "nobody can read /metrics");
                }
                Err(Refusal::Unavailable)
            }
        }
    }

    /// The token; blanks and newlines around it are not part of it.
    async fn read(&self) -> Result<Vec<u8>, TokenError> {
        let bytes = file::read(&self.path, HEADER_BYTES.into())
            .await
            .map_err(|source| TokenError::Read {
                path: self.path.clone(),
                source,
            })?;
        let token = bytes.trim_ascii();
        if is_token(token) {
            Ok(token.to_vec())
        } else {
            Err(TokenError::NoToken {
                path: self.path.clone(),
            })
        }
    }
}
