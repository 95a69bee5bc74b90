//! `infertally-syncer check-health`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;

use super::duration;

/// Arguments of the check.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The page, such as http://127.0.0.1:9090/readyz
    pub url: Uri,
    /// How long it may take.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub timeout: Duration,
    /// Certificates (PEM) that sign that of an https page, beside the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}
