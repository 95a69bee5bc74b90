//! The Kubernetes client, with timeouts that kube's defaults lack.

use std::time::Duration;

use kube::{Client, Config};

use super::reflector::WATCH_SECONDS;

/// Covers TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence within a response. A watch without events is silent until it ends, and the watcher allows 5 s more.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);

/// Why the client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is neither a usable kubeconfig nor a service account.
    #[error("no Kubernetes API server is configured")]
    Infer(#[from] kube::config::InferConfigError),
    /// The configuration is invalid.
    #[error("cannot create the Kubernetes client")]
    Build(#[from] kube::Error),
}

/// Creates a client from `KUBECONFIG` or `~/.kube/config`, else from the pod's service account.
///
/// # Errors
/// If there is none of them, or it is invalid.
pub async fn client() -> Result<Client, ClientError> {
    Ok(client_for(Config::infer().await?)?)
}

/// Creates a client from this configuration, with the timeouts of this module.
///
/// # Errors
/// If the configuration is invalid.
pub fn client_for(mut config: Config) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // Otherwise the time that a connection was idle counts as silence.
    config.reset_reader_on_write = true;
    // The callers retry; retries in the client would delay the report of a failure by minutes.
    config.default_retry = false;
    Client::try_from(config)
}
