//! A look whether a page answers.

use crate::cli::check::CheckArgs;
use crate::http_client::tls::{self, TlsError};
use crate::scrape::fetch::{Client, FetchError};

/// What a health page says is short; /metrics may be asked, too.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Why it is not well.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No page.
    #[error(transparent)]
    Page(#[from] FetchError),
}

/// Asks for the page once.
///
/// # Errors
/// If it does not answer with 200, in time.
pub async fn run(args: &CheckArgs) -> Result<(), CheckError> {
    let client = Client::new(MAX_BYTES, tls::client_config(args.ca_file.as_deref())?);
    client.fetch(&args.url, args.timeout).await?;
    Ok(())
}
