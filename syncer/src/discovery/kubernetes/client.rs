//! The Kubernetes client, with timeouts that kube's defaults lack.

use std::io::ErrorKind;
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};

use super::reflector::WATCH_SECONDS;

/// Covers TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence within a response. A watch without events is silent until it ends, and the watcher allows 5 s more.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);

/// Set in every container of a cluster.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";
const KUBECONFIG: &str = "KUBECONFIG";
/// Where the kubelet mounts the token of a pod's account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why the client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The syncer runs in a cluster, and no account is mounted.
    #[error(
        "no service account is mounted at {SERVICE_ACCOUNT}: the pod needs a serviceAccountName, and \
         automountServiceAccountToken must not be false"
    )]
    NoServiceAccount,
    /// The syncer runs in a cluster, and what is mounted or set cannot be used.
    #[error("the pod's service account cannot be used: {0}")]
    ServiceAccount(InClusterError),
    /// The syncer runs outside a cluster, and there is no usable kubeconfig.
    #[error("no Kubernetes API server: {IN_CLUSTER} is not set, so this is no cluster, and {0}")]
    NoKubeconfig(KubeconfigError),
    /// The file in `KUBECONFIG` cannot be used.
    #[error("KUBECONFIG: {0}")]
    Kubeconfig(KubeconfigError),
    /// The configuration is invalid.
    #[error("cannot create the Kubernetes client")]
    Build(#[from] kube::Error),
}

/// Creates a client from `KUBECONFIG` or `~/.kube/config`, else from the pod's service account.
///
/// # Errors
/// If there is none of them, or it is invalid.
pub async fn client() -> Result<Client, ClientError> {
    let config = match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => config,
        Err(error) if is_set(KUBECONFIG) => return Err(ClientError::Kubeconfig(error)),
        Err(error) if !is_set(IN_CLUSTER) => return Err(ClientError::NoKubeconfig(error)),
        // `Config::infer` would report both, and a pod has no kubeconfig.
        Err(_) => Config::incluster().map_err(|error| match error {
            InClusterError::ReadDefaultNamespace(io) | InClusterError::ReadCertificateBundle(io)
                if io.kind() == ErrorKind::NotFound =>
            {
                ClientError::NoServiceAccount
            }
            error => ClientError::ServiceAccount(error),
        })?,
    };
    Ok(client_for(config)?)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
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
