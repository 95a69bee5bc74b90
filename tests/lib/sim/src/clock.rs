//! Owns the only access to the wall clock, whose time vLLM puts into responses and its LoRA gauge.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the epoch; zero if the clock is set to before it.
#[expect(
    clippy::disallowed_methods,
    reason = "never built for wasm, and a response carries the real time"
)]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
