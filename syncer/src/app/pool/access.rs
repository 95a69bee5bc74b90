//! The clients that scrape model servers and Envoys, and the tasks that reload their certificates and token.

use std::convert::Infallible;

use tokio_util::task::AbortOnDropHandle;

use crate::cli::pool::PoolArgs;
use crate::http_client::access::{AccessError, AccessFiles};
use crate::http_client::tls::TlsFiles;
use crate::scrape::fetch::Client;

/// Limit of an Envoy's page. A pair of model names has some three hundred lines, and a server that ignores the filter sends
/// Envoy's own stats, too.
const MAX_ENVOY_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// A client whose files are watched until this is dropped.
pub(super) struct Watched {
    pub client: Client,
    _task: Option<AbortOnDropHandle<Infallible>>,
}

/// The client for model servers.
pub(super) async fn pods(args: &PoolArgs) -> Result<Watched, AccessError> {
    let access = &args.access;
    let certificate = access.target_cert_file.clone();
    let files = AccessFiles {
        tls: TlsFiles {
            ca: access.target_ca_file.clone(),
            client_certificate: certificate.zip(access.target_key_file.clone()),
            insecure_skip_verify: access.target_insecure_skip_verify,
        },
        server_name: access.server_name(args.dns.as_ref()),
        token: access.target_token_file.clone(),
        token_over_http: access.target_token_over_http,
    };
    if access.target_insecure_skip_verify {
        tracing::warn!(
            "--target-insecure-skip-verify: certificates of model servers are not verified, whoever takes a pod's address \
             can report any load"
        );
    }
    if access.target_token_over_http {
        tracing::warn!("--target-token-over-http: the bearer token is sent unencrypted to http targets");
    }
    let max_page_bytes = usize::try_from(args.max_page_bytes).unwrap_or(usize::MAX);
    watched(files, max_page_bytes).await
}

/// The client for Envoys, which has neither the token nor the certificate for model servers.
pub(super) async fn envoys(args: &PoolArgs) -> Result<Watched, AccessError> {
    let files = AccessFiles {
        tls: TlsFiles {
            ca: args.envoy.envoy_ca_file.clone(),
            ..TlsFiles::default()
        },
        ..AccessFiles::default()
    };
    watched(files, MAX_ENVOY_PAGE_BYTES).await
}

async fn watched(files: AccessFiles, max_page_bytes: usize) -> Result<Watched, AccessError> {
    let (access, contents) = files.open().await?;
    let client = Client::new(max_page_bytes, access);
    let watching = client.clone();
    let task = files.is_watched().then(|| {
        let watch = async move { files.watch(contents, |change| watching.apply(change)).await };
        AbortOnDropHandle::new(tokio::spawn(watch))
    });
    Ok(Watched { client, _task: task })
}
