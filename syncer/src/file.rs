//! Reads small files that other processes replace while the syncer runs: whole, and never more than a limit.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

/// How often a watched file is read. Its modification time is not enough: a mounted ConfigMap changes when the kubelet
/// swaps a symbolic link.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Time between the two reads that must agree. A file that is written in place is empty for a moment, then partial.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// Polls a file and returns its content when it has changed.
#[derive(Debug)]
pub struct FileWatcher {
    path: PathBuf,
    max_bytes: u64,
    /// What [`FileWatcher::changed`] returned last.
    reported: Option<Content>,
}

/// The bytes of the file, or why they cannot be read. [`Error`] itself cannot be compared.
type Content = std::result::Result<Vec<u8>, (ErrorKind, String)>;

/// Reads a file, following symbolic links.
///
/// # Errors
/// The operating system's, and [`ErrorKind::FileTooLarge`] above `max_bytes`.
pub async fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .await?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .await?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("larger than {max_bytes} bytes"),
        ));
    }
    Ok(bytes)
}

// === impl FileWatcher ===

impl FileWatcher {
    /// Watches a file of up to `max_bytes`, which need not exist yet.
    pub fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self {
            path,
            max_bytes,
            reported: None,
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for content that differs from what was returned last and that two reads agree on, and returns it. The first
    /// call returns the present content.
    ///
    /// # Errors
    /// Those of [`read`]. An error that persists is returned once.
    pub async fn changed(&mut self) -> Result<Vec<u8>> {
        let mut current = self.read().await;
        loop {
            let wait = if self.reported.as_ref() == Some(&current) {
                POLL_INTERVAL
            } else {
                SETTLE_TIME
            };
            sleep(wait).await;
            let previous = std::mem::replace(&mut current, self.read().await);
            if previous == current && self.reported.as_ref() != Some(&current) {
                break;
            }
        }
        self.reported = Some(current.clone());
        current.map_err(|(kind, text)| Error::new(kind, text))
    }

    async fn read(&self) -> Content {
        read(&self.path, self.max_bytes)
            .await
            .map_err(|error| (error.kind(), error.to_string()))
    }
}
