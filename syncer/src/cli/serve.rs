//! [`ServeArgs`], the arguments of both roles that configure who can scrape /metrics, and TLS.

use std::path::PathBuf;

use clap::ValueEnum;

/// How /metrics is served.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Who can scrape /metrics [default: none; for the pool role in a cluster: kubernetes]
    #[arg(long, env = "INFERTALLY_METRICS_AUTH", value_enum)]
    pub metrics_auth: Option<AuthMode>,
    /// File with the bearer token of --metrics-auth token. Re-read when it changes
    #[arg(long, env = "INFERTALLY_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Serve HTTPS with this certificate chain (PEM); requires --tls-key. Re-read when it changes
    #[arg(long, env = "INFERTALLY_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert. Re-read when it changes
    #[arg(long, env = "INFERTALLY_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Serve HTTPS with a self-signed certificate, generated at start. Clients must skip verification
    #[arg(long, env = "INFERTALLY_TLS_SELF_SIGNED")]
    pub tls_self_signed: bool,
}

/// Who can scrape /metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Everyone
    None,
    /// Clients with the bearer token of --token-file
    Token,
    /// Clients that the Kubernetes API server authenticates and allows to get /metrics (TokenReview,
    /// SubjectAccessReview). A permission is cached for 60 s, a refusal for 10 s
    Kubernetes,
}

// === impl ServeArgs ===

impl ServeArgs {
    /// All combinations of arguments that are invalid.
    pub(super) fn usage_errors(&self) -> Vec<String> {
        let needs_token = self.metrics_auth == Some(AuthMode::Token);
        let rules = [
            (
                needs_token && self.token_file.is_none(),
                "--metrics-auth token requires --token-file",
            ),
            (
                !needs_token && self.token_file.is_some(),
                "--token-file requires --metrics-auth token; without it /metrics would not be protected",
            ),
            (
                self.tls_cert.is_some() != self.tls_key.is_some(),
                "--tls-cert and --tls-key require each other",
            ),
            (
                self.tls_self_signed && self.tls_cert.is_some(),
                "--tls-self-signed and --tls-cert exclude each other",
            ),
        ];
        let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
        broken.map(|(_, message)| message.to_owned()).collect()
    }
}
