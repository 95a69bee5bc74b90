//! Runs the roles: wires modules together, starts tasks, and ends on signals. No logic of its own.

pub mod check;
pub mod lora;
pub mod pool;
mod serving;

pub use serving::ServingError;

use tokio::signal::unix::{SignalKind, signal};

use crate::file::Reload;

/// Sends a request for each SIGHUP, which would otherwise end the process.
///
/// # Errors
/// If the signal handler cannot be installed.
pub fn reload() -> std::io::Result<Reload> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (requests, reload) = Reload::channel();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("received SIGHUP, reading files and certificates again");
            requests.send_replace(());
        }
    });
    Ok(reload)
}

/// Completes on SIGTERM or SIGINT.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub fn shutdown() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("received SIGTERM, shutting down"),
            _ = interrupt.recv() => tracing::info!("received SIGINT, shutting down"),
        }
    })
}
