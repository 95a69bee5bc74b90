//! `infertally-syncer check-health`: requests a page once.

use crate::cli::check::CheckArgs;
use crate::http_client::access::Access;
use crate::http_client::tls::{self, TlsError};
use crate::scrape::fetch::{Client, FetchError};

/// Of the response. Health pages are short, but the page may also be /metrics.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Why the check fails.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The certificates for `https` pages.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The request, or another status than 200.
    #[error(transparent)]
    Page(#[from] FetchError),
}

/// Requests the page.
///
/// # Errors
/// There is no response with 200 within the timeout.
pub async fn run(args: &CheckArgs) -> Result<(), CheckError> {
    let client = Client::new(MAX_BYTES, Access::new(tls::client_config(args.ca_file.as_deref())?));
    client.fetch(&args.url, args.timeout).await?;
    Ok(())
}
