//! Stand-in.

use crate::exposition::Format;

/// What a server says of its load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerLoad {
    /// Requests that wait.
    pub waiting: Option<f64>,
    /// Requests that run.
    pub running: Option<f64>,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_cache: Option<f64>,
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct Reading;

/// Why not.
#[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct ReadError;

/// Reads.
pub fn read(_page: &[u8], _format: Format, _reading: &Reading) -> Result<ServerLoad, ReadError> {
    Ok(ServerLoad::default())
}
