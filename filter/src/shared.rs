//! The process-wide facilities that workers share: a key-value map with compare-and-swap, and the stats.
//!
//! Each worker's VM has its own memory; these two traits are all that connects them. `host` implements them with
//! Proxy-Wasm calls, `fakes` in memory.

/// Changes with every write of a key.
pub type Version = u32;

/// The process-wide map.
pub trait SharedData {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)>;
    /// Writes if the key has no value; returns whether it did.
    fn create(&mut self, key: &str, value: &[u8]) -> bool;
    /// Writes if the key still has this version; returns whether it did.
    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    Counter,
    Gauge,
}

/// A handle to a stat.
pub type StatId = u32;

/// Envoy's stats store. Stats are process-wide: the same name is the same stat in every worker.
pub trait StatSink {
    /// Returns the handle of the stat, which is created if necessary; `None` if the host rejects it.
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId>;
    fn add(&mut self, stat: StatId, delta: i64);
    fn set_gauge(&mut self, stat: StatId, value: u64);
    fn gauge(&mut self, stat: StatId) -> u64;
}
