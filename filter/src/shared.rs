//! What the workers of one Envoy process share: a map of small values with compare-and-swap, and the stats.
//!
//! Every worker thread has a Wasm VM of its own; these two traits are all that joins them. `host` makes them of
//! Proxy-Wasm's calls, tests of a plain map.

/// A version of a shared value.
pub type Version = u32;

/// The process-wide map.
pub trait SharedData {
    /// The value of a key, with its version.
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)>;
    /// Stores a value whatever was there.
    fn set(&mut self, key: &str, value: &[u8]);
    /// Stores a value if the key has none; says whether it did.
    fn create(&mut self, key: &str, value: &[u8]) -> bool;
    /// Stores a value if the key still has this version; says whether it did.
    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool;
}

/// What a stat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// A handle of a stat.
pub type StatId = u32;

/// Where stats go. They are process-wide: the same name is the same stat on every worker.
pub trait StatSink {
    /// Makes the stat, or finds it. `None` if the host refuses.
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId>;
    /// Adds to a counter or gauge.
    fn add(&mut self, stat: StatId, delta: i64);
    /// Sets a gauge.
    fn set_gauge(&mut self, stat: StatId, value: u64);
    /// What a gauge stands at.
    fn gauge(&mut self, stat: StatId) -> u64;
}
