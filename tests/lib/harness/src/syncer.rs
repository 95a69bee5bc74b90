//! The syncer as a child process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::Result;
use crate::client::get;
use crate::process::{Process, folder};

/// Limit of a start, on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);
/// Time between two polls of the log.
const POLL: Duration = Duration::from_millis(10);
/// Limit of a shutdown.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running syncer; it is killed when this is dropped.
#[derive(Debug)]
pub struct Syncer {
    address: SocketAddr,
    process: Process,
}

// === impl Syncer ===

impl Syncer {
    /// Starts `pool` with these arguments on a free port, and waits until it serves.
    ///
    /// # Errors
    /// If it exits, or does not serve in time; with its log.
    pub async fn pool(binary: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start(
            Command::new(binary)
                .arg("pool")
                .args(["--listen", "127.0.0.1:0"])
                .args(arguments),
        )
        .await
    }

    /// Starts a syncer's command, and waits until it serves.
    ///
    /// # Errors
    /// If it exits, or does not serve in time; with its log.
    pub async fn start(command: &mut Command) -> Result<Self> {
        let process = Process::start(command.env("NO_COLOR", "1"), folder("syncer")?)?;
        let deadline = tokio::time::Instant::now() + START_WITHIN;
        loop {
            if let Some(address) = address(&process.log()) {
                return Ok(Self { address, process });
            }
            if let Some(status) = process.exit_status() {
                return Err(format!("the syncer exited ({status}):\n{}", process.log()).into());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("the syncer does not serve:\n{}", process.log()).into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The address on which it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its status, once it has exited.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its `/metrics`.
    ///
    /// # Errors
    /// If the status is not 200.
    pub async fn metrics(&self) -> Result<String> {
        get(self.address, "/metrics").await
    }

    /// Whether `/readyz` succeeds.
    pub async fn is_ready(&self) -> bool {
        get(self.address, "/readyz").await.is_ok()
    }

    /// Waits until `/metrics` has all of `lines`, and no sample with any of `parts`.
    ///
    /// # Errors
    /// The last page, if it never does.
    pub async fn shows(&self, lines: &[&str], parts: &[&str]) -> Result<String> {
        crate::eventually(async || {
            let page = self.metrics().await?;
            let missing = lines.iter().find(|line| !page.lines().any(|found| found == **line));
            let samples = || page.lines().filter(|line| !line.starts_with('#'));
            let unwanted = parts.iter().find(|part| samples().any(|line| line.contains(**part)));
            match (missing, unwanted) {
                (None, None) => Ok(page),
                (missing, unwanted) => Err(format!("missing {missing:?}, unwanted {unwanted:?} in\n{page}").into()),
            }
        })
        .await
    }

    /// Sends SIGHUP.
    ///
    /// # Errors
    /// If it has exited.
    pub fn hang_up(&self) -> Result<()> {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status()?;
        if sent.success() && self.process.exit_status().is_none() {
            Ok(())
        } else {
            Err(format!("process {id} cannot be sent SIGHUP").into())
        }
    }

    /// Sends SIGTERM, and returns its exit status.
    ///
    /// # Errors
    /// If it does not exit.
    pub async fn terminate(self) -> Result<ExitStatus> {
        self.process.terminate(STOP_WITHIN).await
    }
}

/// The address that its log reports: `address=127.0.0.1:1234`.
fn address(log: &str) -> Option<SocketAddr> {
    let mut fields = log.split_ascii_whitespace();
    fields.find_map(|field| field.strip_prefix("address=")?.parse().ok())
}
