//! How the API server is spoken to. No answer may be waited for without end: kube's own defaults leave that open.

use std::time::Duration;

use kube::{Client, Config};

use super::mirror::WATCH_SECONDS;

/// For TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence in an answer. A quiet watch says nothing until it ends, and the watcher waits 5 s more.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account.
    #[error("no way to reach a Kubernetes API server is configured: {0}")]
    Infer(#[from] kube::config::InferConfigError),
    /// What is configured can't be used.
    #[error("the Kubernetes client can't be made: {0}")]
    Build(#[from] kube::Error),
}

/// A client as the environment has it: `KUBECONFIG` or `~/.kube/config`, else the pod's service account.
///
/// # Errors
/// If there is neither, or it can't be used.
pub async fn client() -> Result<Client, ClientError> {
    Ok(client_for(Config::infer().await?)?)
}

/// A client of this configuration, with our timeouts.
///
/// # Errors
/// If it can't be used.
pub fn client_for(mut config: Config) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // Else the time that a connection lay idle counts as silence.
    config.reset_reader_on_write = true;
    // Who asks also knows when to ask again; retries below would keep a failure from being told for minutes.
    config.default_retry = false;
    Client::try_from(config)
}
