//! The roles at work: wiring, and what ends them. No logic of its own.

pub mod check;
pub mod lora;
pub mod pool;
mod serving;

pub use serving::ServingError;

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(AbortHandle);

/// Completes when the process is asked to end (SIGTERM, SIGINT).
///
/// # Errors
/// If the signals can't be listened to.
pub fn shutdown() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
        }
    })
}

// === impl Task ===

impl Task {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
