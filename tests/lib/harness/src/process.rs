//! A child process with its standard error in a file; it ends when this is dropped.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Result;

/// How often an end is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// A running process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    folder: PathBuf,
}

// === impl Process ===

impl Process {
    /// Starts it; its folder, where its log is, goes with it.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(command: &mut Command, folder: PathBuf) -> Result<Self> {
        let log = File::create(folder.join("log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self { child, folder })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end (SIGTERM), and waits for that.
    ///
    /// # Errors
    /// If it doesn't.
    pub async fn end(&mut self, within: Duration) -> Result<ExitStatus> {
        let asked = Command::new("kill").arg(self.id().to_string()).status()?;
        if !asked.success() {
            return Err("it cannot be asked to end".into());
        }
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("it did not end within {within:?}:\n{}", self.log()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of process {}\n{}", self.child.id(), self.log());
        }
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new folder for a process.
///
/// # Errors
/// If it can't be made.
pub fn folder(kind: &str) -> Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("infertally-{kind}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
