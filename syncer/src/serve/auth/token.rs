//! A bearer token in a file. The file is read for each request, which costs little at the rate of scrapes: a rotated
//! token counts at once, whether the file was rewritten or, as a mounted Secret, replaced by a link.

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
    /// Whether the last read failed, so that a failure is logged once.
    failed: AtomicBool,
}

/// Why the file has no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("token file {0}: cannot be read")]
    Read(PathBuf, #[source] io::Error),
    /// A header cannot hold what is in the file.
    #[error("token file {0}: not one token of visible ASCII")]
    Invalid(PathBuf),
}

// === impl TokenFile ===

impl TokenFile {
    /// The file at the path.
    ///
    /// # Errors
    /// It holds no token now.
    pub async fn open(path: PathBuf) -> Result<Self, TokenError> {
        let file = Self {
            path,
            failed: AtomicBool::new(false),
        };
        file.read().await?;
        Ok(file)
    }

    /// Compares the token with the file's, in constant time.
    pub(super) async fn check(&self, token: &str) -> Result<(), Refusal> {
        let expected = self.read().await;
        let had_failed = self.failed.swap(expected.is_err(), Ordering::Relaxed);
        match expected {
            Ok(expected) => {
                if had_failed {
                    info!(path = %self.path.display(), "token file can be read again");
                }
                let equal = token.as_bytes().ct_eq(&expected).into();
                if equal { Ok(()) } else { Err(Refusal::Unauthorized) }
            }
            Err(error) => {
                if !had_failed {
                    warn!(
                        error = error_chain(&error),
                        "replying to every scrape with 503 until the token can be read"
                    );
                }
                Err(Refusal::Unavailable)
            }
        }
    }

    /// The token, without blanks and newlines around it.
    async fn read(&self) -> Result<Vec<u8>, TokenError> {
        let bytes = file::read(&self.path, HEADER_BYTES.into())
            .await
            .map_err(|source| TokenError::Read(self.path.clone(), source))?;
        let token = bytes.trim_ascii();
        if is_token(token) {
            Ok(token.to_vec())
        } else {
            Err(TokenError::Invalid(self.path.clone()))
        }
    }
}
