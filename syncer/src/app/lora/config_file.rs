//! The configuration's file: read whole, once a change.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Sender;

use crate::file::{self, FileWatcher};
use crate::lora::config::{self, ConfigError, MAX_BYTES, Parsed};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// Not there, not allowed, no file.
    #[error("configuration {path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It says nothing that can be used. Shown as a line for each mistake.
    #[error("{}", lines(.path, .mistakes))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them, in the file's order.
        mistakes: Vec<ConfigError>,
    },
}

/// Reads the file once.
pub(super) async fn read(path: &Path) -> Result<Parsed, ConfigFileError> {
    parse(file::read(path, MAX_BYTES as u64).await, path)
}

/// Tells what the file says, and again whenever that changes. Returns when nobody listens.
pub(super) async fn watch(path: PathBuf, out: Sender<Result<Parsed, ConfigFileError>>) {
    let mut file = FileWatcher::new(path, MAX_BYTES as u64);
    loop {
        let content = tokio::select! {
            content = file.changed() => content,
            () = out.closed() => return,
        };
        if out.send(parse(content, file.path())).await.is_err() {
            return;
        }
    }
}

fn parse(content: io::Result<Vec<u8>>, path: &Path) -> Result<Parsed, ConfigFileError> {
    let path = || path.to_owned();
    let bytes = content.map_err(|source| ConfigFileError::Read { path: path(), source })?;
    config::parse(&bytes).map_err(|mistakes| ConfigFileError::Mistakes { path: path(), mistakes })
}

fn lines(path: &Path, mistakes: &[ConfigError]) -> String {
    let line = |mistake: &ConfigError| {
        let kind = if mistake.what.is_warning() { "warning: " } else { "" };
        format!("{kind}configuration {}, {mistake}", path.display())
    };
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}
