//! The arguments of `infertally-syncer check-health`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;

use super::duration;

/// A URL, and how to request it.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The URL to request, such as http://127.0.0.1:9090/readyz
    pub url: Uri,
    /// Timeout of the request.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub timeout: Duration,
    /// CA certificates (PEM) to trust for https, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}
