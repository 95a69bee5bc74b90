//! Owns the one reading of the wall clock: vLLM stamps its answers and its LoRA gauge with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the epoch; zero on a machine whose clock stands before it.
#[expect(
    clippy::disallowed_methods,
    reason = "never built for wasm, and the stamp in an answer has to be the real time"
)]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
