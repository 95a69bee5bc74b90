//! [`TargetAccess`], the arguments of the pool role that configure where model servers' metrics are, TLS and the token.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use http::uri::{PathAndQuery, Scheme};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::discovery::dns::DnsName;
use crate::discovery::kubernetes::MetricsEndpoint;
use crate::target::Target;

/// Where the model servers' metrics are, and how the syncer proves its identity to them.
#[derive(Clone, Debug, clap::Args)]
pub struct TargetAccess {
    /// Port of the pods' metrics, if it is not the InferencePool's target port (for Triton: 8002). Requires --kubernetes
    ///
    /// A pod with several target ports is one target then. A pod's annotation or label prometheus.io/port overrides it.
    #[arg(long, env = "INFERTALLY_METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<NonZeroU16>,
    /// Scheme of the pods' metrics, for --kubernetes and --dns [default: http]
    ///
    /// With --dns certificates must be for HOST. A pod's annotation or label prometheus.io/scheme overrides it.
    #[arg(long, env = "INFERTALLY_METRICS_SCHEME", value_name = "SCHEME", value_parser = scheme())]
    pub metrics_scheme: Option<Scheme>,
    /// Path of the metrics, for targets without one (for trtllm-serve: /prometheus/metrics)
    ///
    /// A pod's annotation prometheus.io/path overrides it.
    #[arg(
        long,
        env = "INFERTALLY_METRICS_PATH",
        value_name = "PATH",
        default_value = "/metrics"
    )]
    #[arg(value_parser = metrics_path)]
    pub metrics_path: PathAndQuery,
    /// Ignore the annotations and labels prometheus.io/port, scheme and path of pods
    #[arg(long, env = "INFERTALLY_IGNORE_POD_ANNOTATIONS")]
    pub ignore_pod_annotations: bool,
    /// Certificate authorities (PEM) that sign the certificates of https targets, instead of the system's. Re-read when it
    /// changes
    #[arg(long, env = "INFERTALLY_TARGET_CA_FILE", value_name = "FILE")]
    pub target_ca_file: Option<PathBuf>,
    /// Name that the certificates of https targets must have, instead of the URL's host or address
    #[arg(long, env = "INFERTALLY_TARGET_SERVER_NAME", value_name = "NAME", value_parser = server_name)]
    pub target_server_name: Option<ServerName<'static>>,
    /// Client certificate chain (PEM) for https targets; requires --target-key-file. Re-read when it changes
    #[arg(long, env = "INFERTALLY_TARGET_CERT_FILE", value_name = "FILE")]
    pub target_cert_file: Option<PathBuf>,
    /// Private key (PEM) of --target-cert-file. Re-read when it changes
    #[arg(long, env = "INFERTALLY_TARGET_KEY_FILE", value_name = "FILE")]
    pub target_key_file: Option<PathBuf>,
    /// File with the bearer token for https targets. Re-read when it changes
    ///
    /// No Envoy receives it.
    #[arg(long, env = "INFERTALLY_TARGET_TOKEN_FILE", value_name = "FILE")]
    pub target_token_file: Option<PathBuf>,
    /// Send the token to http targets, too, unencrypted
    #[arg(long, env = "INFERTALLY_TARGET_TOKEN_OVER_HTTP")]
    pub target_token_over_http: bool,
    /// Accept any certificate of https targets: whoever takes a target's address can report any load and gets the token
    #[arg(long, env = "INFERTALLY_TARGET_INSECURE_SKIP_VERIFY")]
    pub target_insecure_skip_verify: bool,
}

/// The sources of targets that the arguments depend on.
pub(super) struct Sources<'a> {
    pub targets: &'a [Target],
    pub dns: Option<&'a DnsName>,
    pub kubernetes: bool,
}

// === impl TargetAccess ===

impl TargetAccess {
    /// The scheme of targets whose source has none.
    pub fn scheme(&self) -> Scheme {
        self.metrics_scheme.clone().unwrap_or(Scheme::HTTP)
    }

    /// Where the metrics of an InferencePool's pods are.
    pub fn endpoint(&self) -> MetricsEndpoint {
        MetricsEndpoint {
            port: self.metrics_port,
            scheme: self.scheme(),
            use_annotations: !self.ignore_pod_annotations,
        }
    }

    /// The name that certificates must have; `None`: the URL's host.
    pub fn server_name(&self, dns: Option<&DnsName>) -> Option<ServerName<'static>> {
        let of_dns = || server_name(dns?.host.trim_end_matches('.')).ok();
        self.target_server_name.clone().or_else(of_dns)
    }

    /// All combinations of arguments that are invalid.
    pub(super) fn usage_errors(&self, sources: &Sources<'_>) -> Vec<String> {
        let Sources {
            targets,
            dns,
            kubernetes,
        } = *sources;
        let is_https = self.metrics_scheme == Some(Scheme::HTTPS);
        let is_http = |target: &Target| {
            target
                .url
                .as_ref()
                .is_some_and(|url| url.scheme() == Some(&Scheme::HTTP))
        };
        let only_http = match dns {
            Some(_) => !is_https,
            None => !targets.is_empty() && targets.iter().all(is_http),
        };
        let rules = [
            (
                self.metrics_port.is_some() && !kubernetes,
                "--metrics-port requires --kubernetes; other targets have their port in the URL or HOST:PORT",
            ),
            (
                self.metrics_scheme.is_some() && !kubernetes && dns.is_none(),
                "--metrics-scheme requires --kubernetes or --dns; other targets have their scheme in the URL",
            ),
            (
                self.target_cert_file.is_some() != self.target_key_file.is_some(),
                "--target-cert-file and --target-key-file require each other",
            ),
            (
                self.target_insecure_skip_verify && self.target_ca_file.is_some(),
                "--target-insecure-skip-verify and --target-ca-file exclude each other",
            ),
            (
                self.target_token_over_http && self.target_token_file.is_none(),
                "--target-token-over-http requires --target-token-file",
            ),
            (
                self.target_token_file.is_some() && only_http && !self.target_token_over_http,
                "--target-token-file: all targets are http, and the token is sent over http only with \
                 --target-token-over-http",
            ),
            (
                is_https && dns.is_some() && self.server_name(dns).is_none(),
                "--dns: no certificate can have this name; set --target-server-name",
            ),
        ];
        let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
        broken.map(|(_, message)| message.to_owned()).collect()
    }
}

fn scheme() -> impl clap::builder::TypedValueParser<Value = Scheme> {
    PossibleValuesParser::new(["http", "https"]).map(|text| match text.as_str() {
        "https" => Scheme::HTTPS,
        _ => Scheme::HTTP,
    })
}

fn metrics_path(text: &str) -> Result<PathAndQuery, String> {
    match text.parse() {
        Ok(path) if text.starts_with('/') => Ok(path),
        _ => Err("expected a path that begins with '/'".to_owned()),
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|_| "expected a DNS name or an IP address".to_owned())
}
