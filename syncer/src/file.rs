//! Small files that others replace while we run: read whole, at once, and never more than a cap.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

/// How often a file is read. It is small, and its time stamp says little: a mounted ConfigMap changes by a link that is
/// swapped.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// A file that is written in place is empty for a moment, and then half there.
const SETTLE: Duration = Duration::from_millis(100);

/// A file that is read again and again.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    cap: u64,
    told: Option<Content>,
}

/// What a file holds, or why it can't be read: as the system has it.
type Content = std::result::Result<Vec<u8>, (ErrorKind, String)>;

/// The bytes of the file, symbolic links followed.
///
/// # Errors
/// As the system has them, and [`ErrorKind::FileTooLarge`] past `cap` bytes.
pub async fn read(path: &Path, cap: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).await?.take(cap + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > cap {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("more than {cap} bytes")));
    }
    Ok(bytes)
}

// === impl Watched ===

impl Watched {
    /// A file of `cap` bytes at most. It need not be there.
    pub fn new(path: PathBuf, cap: u64) -> Self {
        Self { path, cap, told: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says once it is something that was not told before, and has said it twice. The first call tells what
    /// it says now.
    ///
    /// # Errors
    /// Those of [`read`], each once until it is another one or goes away.
    pub async fn changed(&mut self) -> Result<Vec<u8>> {
        let mut now = self.read().await;
        loop {
            let wait = if self.told.as_ref() == Some(&now) {
                POLL_EVERY
            } else {
                SETTLE
            };
            sleep(wait).await;
            let before = std::mem::replace(&mut now, self.read().await);
            if before == now && self.told.as_ref() != Some(&now) {
                break;
            }
        }
        self.told = Some(now.clone());
        now.map_err(|(kind, text)| Error::new(kind, text))
    }

    async fn read(&self) -> Content {
        read(&self.path, self.cap)
            .await
            .map_err(|error| (error.kind(), error.to_string()))
    }
}
