//! Reads small files that other processes replace while the syncer runs: whole, and never more than a limit. They are polled,
//! and read at once on a [`Reload`].

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

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
    reload: Reload,
    /// What [`FileWatcher::changed`] returned last.
    reported: Option<Content>,
}

/// Requests to read files now instead of at the next poll. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Reload(Option<watch::Receiver<()>>);

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
    pub fn new(path: PathBuf, max_bytes: u64, reload: Reload) -> Self {
        Self {
            path,
            max_bytes,
            reload,
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
            if self.reported.as_ref() == Some(&current) {
                self.reload.requested_within(POLL_INTERVAL).await;
            } else {
                sleep(SETTLE_TIME).await;
            }
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

// === impl Reload ===

impl Reload {
    /// Requests that are sent with the sender.
    pub fn channel() -> (watch::Sender<()>, Self) {
        let (requests, receiver) = watch::channel(());
        (requests, Self(Some(receiver)))
    }

    /// Waits for a request, at most for this time. A request between two calls ends the second one at once. Cancel safe.
    pub async fn requested_within(&mut self, time: Duration) {
        let requested = async {
            let received = match &mut self.0 {
                Some(requests) => requests.changed().await.is_ok(),
                None => false,
            };
            if !received {
                // Nobody is left to send one.
                std::future::pending().await
            }
        };
        _ = timeout(time, requested).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reload_reads_a_watched_file_at_once() {
        let path = std::env::temp_dir().join(format!("infertally-reload-{}", std::process::id()));
        std::fs::write(&path, "old").unwrap();
        let (requests, reload) = Reload::channel();
        let mut file = FileWatcher::new(path.clone(), 100, reload);
        assert_eq!(file.changed().await.unwrap(), b"old");
        let begin = Instant::now();
        let request = async {
            sleep(Duration::from_millis(10)).await;
            std::fs::write(&path, "new").unwrap();
            requests.send_replace(());
        };
        let (changed, ()) = tokio::join!(file.changed(), request);
        assert_eq!(changed.unwrap(), b"new");
        assert!(begin.elapsed() < POLL_INTERVAL, "{:?}", begin.elapsed());
        // Without a request, and without anybody who could send one, it is polled.
        drop(requests);
        std::fs::write(&path, "newer").unwrap();
        assert_eq!(file.changed().await.unwrap(), b"newer");
        std::fs::remove_file(&path).unwrap();
    }
}
