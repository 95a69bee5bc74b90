//! Real processes and scripted peers for tests: Envoy with the shipped `envoy.yaml`, the syncer, Prometheus; clients and
//! servers that show every byte; pods and model servers that misbehave on request.
//!
//! What the metrics must be is derived by `infertally_oracle`. Nothing here uses the filter's code.

pub mod checked_envoy;
pub mod client;
pub mod connection;
pub mod edits;
pub mod envoy;
pub mod fleet;
pub mod flood;
pub mod heartbeats;
pub mod http2;
pub mod mount;
pub mod page;
pub mod ports;
pub mod proc;
pub mod process;
pub mod prometheus;
pub mod promtool;
pub mod soak;
pub mod syncer;
pub mod upstream;

pub use checked_envoy::CheckedEnvoy;
pub use fleet::{Behaviour, Fleet, Pod};
pub use infertally_oracle::{capture, message, stats};
pub use mount::Mount;
pub use prometheus::Prometheus;
pub use syncer::Syncer;

/// A failure that ends a test or the demo.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Time for anything on loopback, on a busy machine; what takes longer is taken for lost.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A path in the repository.
pub fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .join(path)
}

/// Retries until an attempt succeeds, for [`PATIENCE`].
///
/// # Errors
/// The last attempt's.
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
