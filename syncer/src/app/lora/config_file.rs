//! The configuration file: read as a whole, once per change.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Sender;

use crate::file::{self, FileWatcher, Reload};
use crate::lora::config::{self, ConfigError, MAX_BYTES, Parsed};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// Missing, not readable or too large.
    #[error("configuration {}: cannot be read", .path.display())]
    Read {
        /// Of the file.
        path: PathBuf,
        /// As reported by the system.
        source: io::Error,
    },
    /// Displayed as one line per error.
    #[error("{}", lines(.path, .errors))]
    Invalid {
        /// Of the file.
        path: PathBuf,
        /// Errors and warnings, by position.
        errors: Vec<ConfigError>,
    },
}

pub(super) async fn read(path: &Path) -> Result<Parsed, ConfigFileError> {
    parse(file::read(path, MAX_BYTES as u64).await, path)
}

/// Sends the content of the file now and after each change. Returns when the receiver is dropped.
pub(super) async fn watch(path: PathBuf, reload: Reload, updates: Sender<Result<Parsed, ConfigFileError>>) {
    let mut file = FileWatcher::new(path, MAX_BYTES as u64, reload);
    loop {
        let content = tokio::select! {
            content = file.changed() => content,
            () = updates.closed() => return,
        };
        if updates.send(parse(content, file.path())).await.is_err() {
            return;
        }
    }
}

fn parse(content: io::Result<Vec<u8>>, path: &Path) -> Result<Parsed, ConfigFileError> {
    let path = || path.to_owned();
    let bytes = content.map_err(|source| ConfigFileError::Read { path: path(), source })?;
    config::parse(&bytes).map_err(|errors| ConfigFileError::Invalid { path: path(), errors })
}

fn lines(path: &Path, errors: &[ConfigError]) -> String {
    let line = |error: &ConfigError| {
        let severity = if error.kind.is_warning() { " (warning)" } else { "" };
        format!("configuration {}: {error}{severity}", path.display())
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}
