//! The server of either role, bound from the arguments.

use std::net::SocketAddr;

use crate::cli::{AuthMode, ServeArgs};
use crate::discovery::kubernetes::{self, ClientError};
use crate::file::Reload;
use crate::serve::auth::{Auth, Kubernetes, Times, TokenError, TokenFile};
use crate::serve::tls::{Tls, TlsError};
use crate::serve::{Limits, ServeError, Server, Settings};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The token file.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No configuration for a client of the API server.
    #[error("--metrics-auth kubernetes (--metrics-auth none serves /metrics to everybody instead)")]
    Kubernetes(#[from] ClientError),
    /// The address cannot be bound.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Binds the address, with the authentication and certificate of the arguments.
///
/// # Errors
/// One of them cannot be used.
pub(super) async fn bind(
    listen: SocketAddr,
    auth_mode: AuthMode,
    args: &ServeArgs,
    limits: Limits,
    reload: Reload,
) -> Result<Server, ServingError> {
    let auth = match auth_mode {
        AuthMode::None => Auth::None,
        AuthMode::Token => {
            let path = args.token_file.clone().unwrap_or_default();
            Auth::Token(TokenFile::open(path).await?)
        }
        AuthMode::Kubernetes => {
            Auth::Kubernetes(Box::new(Kubernetes::new(kubernetes::client().await?, Times::default())))
        }
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::from_files(certificate.clone(), key.clone()).await?),
        _ if args.tls_self_signed => Some(Tls::self_signed(names(listen))?),
        _ => None,
    };
    tracing::info!(auth = ?auth_mode, "authentication of /metrics");
    let settings = Settings {
        listen,
        auth,
        tls,
        limits,
        reload,
    };
    Ok(Server::bind(settings).await?)
}

/// The names of a self-signed certificate. A client that verifies names uses one of these.
fn names(listen: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    names
}
