//! [`EngineOptions`], how a server's page is read where the defaults do not fit.

use super::selector::Selector;
use super::table::Engine;

/// Overrides by the user. By default the engine is detected and its own metrics are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Skips detection.
    pub engine: Option<Engine>,
    /// The metric of waiting requests.
    pub waiting: Option<Selector>,
    /// The metric of running requests.
    pub running: Option<Selector>,
    /// The metric of KV cache utilization.
    pub kv_cache: Option<Selector>,
}
