//! What the tests against a real Envoy and the demo stand on: a real Envoy with the shipped `envoy.yaml`, a client that
//! shows every byte, captures of a real model server, and an independent reading of them that says what the metrics
//! must be. Nothing here uses the filter's code.

pub mod capture;
pub mod client;
pub mod counted;
pub mod edits;
pub mod envoy;
pub mod expected;
pub mod fleet;
pub mod flood;
pub mod heartbeat;
pub mod http2;
pub mod message;
pub mod mount;
pub mod page;
pub mod proc;
pub mod process;
pub mod prometheus;
pub mod promtool;
pub mod reading;
pub mod soak;
pub mod stats;
pub mod syncer;
pub mod tally;
pub mod upstream;
pub mod wire;

pub use fleet::{Behaviour, Fleet, Pod};
pub use mount::Mount;
pub use prometheus::Prometheus;
pub use syncer::Syncer;

/// A failure in words; a test or the demo ends with it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Time that anything on loopback may take before it counts as lost; long, for machines that are busy with more.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A path in the repository.
pub fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .join(path)
}

/// Tries until it is so, for [`PATIENCE`] at most; then gives what the last try said.
///
/// # Errors
/// The last try's error.
pub async fn eventually<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(_) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            done => return done,
        }
    }
}
