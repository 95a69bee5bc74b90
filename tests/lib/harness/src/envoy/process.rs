//! Envoy as a child process, with its log.
//!
//! Envoys from some packages ask the kernel to be ended with the *thread* that started them. So a thread of its own
//! starts it, waits for its end, and lives as long as it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;

const LOOK: Duration = Duration::from_millis(20);
/// How long a listener that was replaced serves what it has: ten minutes by default, too long for a test to see the end.
const DRAIN_SECONDS: &str = "5";

#[derive(Debug)]
pub(super) struct Process {
    folder: PathBuf,
    id: u32,
    stop: Option<Sender<()>>,
    waiter: Option<JoinHandle<()>>,
    exited: Arc<Mutex<Option<String>>>,
}

// === impl Process ===

impl Process {
    pub(super) fn start(envoy: &Path, config: &str, workers: u64) -> Result<Self> {
        let folder = new_folder()?;
        let config_file = folder.join("envoy.yaml");
        std::fs::write(&config_file, config)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(envoy);
        command
            .arg("-c")
            .arg(&config_file)
            .args([
                "--concurrency",
                &workers.to_string(),
                "-l",
                "warning",
                "--disable-hot-restart",
                "--drain-time-s",
                DRAIN_SECONDS,
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let (started, start) = channel();
        let (stop, stopped) = channel();
        let exited = Arc::new(Mutex::new(None));
        let waiter = std::thread::spawn({
            let exited = Arc::clone(&exited);
            move || {
                let mut child: Child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => {
                        _ = started.send(Err(error));
                        return;
                    }
                };
                _ = started.send(Ok(child.id()));
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if let Ok(Some(status)) = child.try_wait() {
                        if let Ok(mut exited) = exited.lock() {
                            *exited = Some(status.to_string());
                        }
                        return;
                    }
                }
                _ = child.kill();
                _ = child.wait();
            }
        });
        let mut process = Self {
            folder,
            id: 0,
            stop: Some(stop),
            waiter: Some(waiter),
            exited,
        };
        process.id = start.recv()?.map_err(|error| format!("{}: {error}", envoy.display()))?;
        Ok(process)
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&self) -> Result<()> {
        match self.exited.lock().ok().and_then(|exited| exited.clone()) {
            Some(status) => Err(format!("Envoy ended ({status}):\n{}", self.log()).into()),
            None => Ok(()),
        }
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(waiter) = self.waiter.take() {
            _ = waiter.join();
        }
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A folder of its own for this Envoy.
fn new_folder() -> Result<PathBuf> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("infertally-envoy-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
