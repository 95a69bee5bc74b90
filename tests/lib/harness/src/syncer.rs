//! The syncer as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::client::get;

use crate::Result;
use crate::process::{Process, folder};

/// How long a start may take, on a machine that is busy with more.
const START_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);
/// How long an end may take that was asked for.
const END_WITHIN: Duration = Duration::from_secs(20);

/// A running syncer; it ends when this is dropped.
#[derive(Debug)]
pub struct Syncer {
    address: SocketAddr,
    process: Process,
}

// === impl Syncer ===

impl Syncer {
    /// Starts `pool` with these arguments on a port of its own, and waits until it serves.
    ///
    /// # Errors
    /// If it ends, or says nothing for long.
    pub async fn pool(binary: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start(
            Command::new(binary)
                .arg("pool")
                .args(["--listen", "127.0.0.1:0"])
                .args(arguments),
        )
        .await
    }

    /// Starts a command that is a syncer.
    ///
    /// # Errors
    /// If it ends, or says nothing for long.
    pub async fn start(command: &mut Command) -> Result<Self> {
        let mut process = Process::start(command.env("NO_COLOR", "1"), folder("syncer")?)?;
        let deadline = tokio::time::Instant::now() + START_WITHIN;
        loop {
            if let Some(address) = address(&process.log()) {
                return Ok(Self { address, process });
            }
            if let Some(status) = process.ended() {
                return Err(format!("it ended ({status}):\n{}", process.log()).into());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("it does not serve:\n{}", process.log()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its `/metrics`, plain.
    ///
    /// # Errors
    /// If it can't be had with status 200.
    pub async fn metrics(&self) -> Result<String> {
        get(self.address, "/metrics").await
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        get(self.address, "/readyz").await.is_ok()
    }

    /// Waits until `/metrics` has all of these lines, and none with one of those parts.
    ///
    /// # Errors
    /// With the last page, if that takes long.
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

    /// Asks it to end, and says how it did.
    ///
    /// # Errors
    /// If it doesn't.
    pub async fn end(mut self) -> Result<ExitStatus> {
        self.process.end(END_WITHIN).await
    }
}

/// Where its log says that it serves: `address=127.0.0.1:1234`.
fn address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("serving address=")?;
    rest.split(' ').next()?.parse().ok()
}
