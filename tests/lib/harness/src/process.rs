//! A child process with its output in a file; it is killed when this is dropped.
//!
//! Envoys from some packages have the kernel kill them with the *thread* that started them. So a thread of its own
//! starts each process, and lives as long as it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;

/// Time between two polls for the process's exit.
const POLL: Duration = Duration::from_millis(10);

/// A running process.
#[derive(Debug)]
pub struct Process {
    id: u32,
    folder: PathBuf,
    exited: Arc<OnceLock<ExitStatus>>,
    /// Dropped to have the process killed.
    kill: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

// === impl Process ===

impl Process {
    /// Starts a command. Its log goes into the folder, and the folder is removed with it.
    ///
    /// The command's program, arguments, environment and working directory are used; not a cleared environment.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(command: &Command, folder: PathBuf) -> Result<Self> {
        let log = File::create(folder.join("log"))?;
        let mut command = copy(command);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.get_program().display().to_string();
        let (started, start) = channel();
        let (kill, killed) = channel();
        let exited = Arc::new(OnceLock::new());
        let keeper = std::thread::spawn({
            let exited = Arc::clone(&exited);
            move || {
                let spawned = command.spawn();
                _ = started.send(spawned.as_ref().map(Child::id).map_err(ToString::to_string));
                if let Ok(child) = spawned {
                    keep(child, &killed, &exited);
                }
            }
        });
        let mut process = Self {
            id: 0,
            folder,
            exited,
            kill: Some(kill),
            keeper: Some(keeper),
        };
        process.id = start.recv()?.map_err(|error| format!("{program}: {error}"))?;
        Ok(process)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its standard output and error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Its exit status, once it has exited.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.exited.get().copied()
    }

    /// Sends SIGTERM and waits for its exit.
    ///
    /// # Errors
    /// If it does not exit in time; with its log.
    pub async fn terminate(&self, within: Duration) -> Result<ExitStatus> {
        let is_sent = Command::new("kill").arg(self.id.to_string()).status()?.success();
        if !is_sent && self.exit_status().is_none() {
            return Err(format!("process {} cannot be sent SIGTERM", self.id).into());
        }
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("process {} did not exit within {within:?}:\n{}", self.id, self.log()).into());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.kill.take());
        if let Some(keeper) = self.keeper.take() {
            _ = keeper.join();
        }
        if std::thread::panicking() {
            eprintln!("--- log of process {}\n{}", self.id, self.log());
        }
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits for the process's exit, or kills it once the sender is dropped.
fn keep(mut child: Child, killed: &Receiver<()>, exited: &OnceLock<ExitStatus>) {
    while killed.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        if let Ok(Some(status)) = child.try_wait() {
            _ = exited.set(status);
            return;
        }
    }
    _ = child.kill();
    _ = child.wait();
}

/// A command for another thread; `Command` cannot be cloned.
fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

/// Creates a folder of this test's own.
///
/// # Errors
/// If it cannot be created.
pub fn folder(kind: &str) -> Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("infertally-{kind}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The path that a variable names, as `make test` sets it.
///
/// # Errors
/// If it is not set.
pub fn program(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.ok_or_else(|| format!("{variable} is not set: run these tests by `make test`").into())
}

/// Writes a file of a process's folder and returns its path.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
