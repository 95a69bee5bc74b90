//! [`EnvoyArgs`], the arguments of the pool role that configure which Envoys are scraped, and how often.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;

use super::duration::duration;
use crate::discovery::dns::DnsName;
use crate::discovery::kubernetes::ServiceRef;
use crate::envoys::MAX_ENVOYS;
use crate::url::{base_url, host_and_port};

/// Envoys are scraped less often than model servers: Envoy renders its stats on the main thread, and nothing reacts to the
/// filter's metrics within a second.
const INTERVAL: &str = "5s";
/// The longest default timeout. A page of many thousand stats takes seconds on a busy Envoy.
const MAX_DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// By default metrics are stale after this many intervals, so that one failed scrape leaves no gap.
const STALE_INTERVALS: u32 = 3;

/// Which Envoys are scraped.
#[derive(Clone, Debug, Args)]
pub struct EnvoyArgs {
    /// Scrape this Envoy and serve the filter's metrics with their types, histograms included. Repeatable
    ///
    /// URL is the admin interface, or a listener that forwards /stats/prometheus. Only the filter's stats are requested
    /// (?filter=^wasmcustom\.), unless the URL has a parameter `filter`. With several Envoys each series has an additional
    /// label `envoy`.
    #[arg(long = "envoy", env = "INFERTALLY_ENVOY", value_name = "URL", value_delimiter = ',', value_parser = base_url)]
    #[arg(group = "envoy_source")]
    pub envoys: Vec<Uri>,
    /// Scrape the Envoy at every address of this DNS name, such as a headless Service's. Re-resolved every 5 s
    ///
    /// Each series has the additional label `envoy`, even with one address.
    #[arg(long, env = "INFERTALLY_ENVOY_DNS", value_name = "HOST:PORT")]
    #[arg(group = "envoy_source")]
    pub envoy_dns: Option<DnsName>,
    /// Scrape the Envoys behind this Service, which its EndpointSlices list
    ///
    /// PORT is the name of a port of the Service, or the number of a port of the pods, whether or not the Service has it. It
    /// can be omitted for a Service with one port. NAMESPACE is as for --kubernetes. Each series has the additional label
    /// `envoy`, even with one endpoint.
    #[arg(long, env = "INFERTALLY_ENVOY_SERVICE", value_name = "[NAMESPACE/]NAME[:PORT]")]
    #[arg(group = "envoy_source")]
    pub envoy_service: Option<ServiceRef>,
    /// Certificate authorities (PEM) that sign the certificates of https Envoys, instead of the system's. Re-read when it
    /// changes
    #[arg(long, env = "INFERTALLY_ENVOY_CA_FILE", value_name = "FILE")]
    pub envoy_ca_file: Option<PathBuf>,
    /// Time between two scrapes of an Envoy
    #[arg(long, env = "INFERTALLY_ENVOY_INTERVAL", value_name = "DURATION", default_value = INTERVAL, value_parser = duration)]
    pub envoy_interval: Duration,
    /// Timeout of a scrape of an Envoy, up to the interval [default: the interval, up to 5s]
    #[arg(long, env = "INFERTALLY_ENVOY_TIMEOUT", value_name = "DURATION", value_parser = duration)]
    pub envoy_timeout: Option<Duration>,
    /// Time after which metrics of an Envoy that could not be scraped again are no longer served [default: 3 intervals]
    #[arg(long, env = "INFERTALLY_ENVOY_STALE_AFTER", value_name = "DURATION", value_parser = duration)]
    pub envoy_stale_after: Option<Duration>,
}

// === impl EnvoyArgs ===

impl EnvoyArgs {
    /// Whether any are configured.
    pub fn are_configured(&self) -> bool {
        !self.envoys.is_empty() || self.are_discovered()
    }

    /// Whether they may come and go.
    pub fn are_discovered(&self) -> bool {
        self.envoy_dns.is_some() || self.envoy_service.is_some()
    }

    /// The timeout of a scrape.
    pub fn timeout(&self) -> Duration {
        self.envoy_timeout
            .unwrap_or_else(|| self.envoy_interval.min(MAX_DEFAULT_TIMEOUT))
    }

    /// The age at which metrics are stale.
    pub fn stale_after(&self) -> Duration {
        self.envoy_stale_after
            .unwrap_or_else(|| self.envoy_interval * STALE_INTERVALS)
    }

    /// All combinations of arguments that are invalid.
    pub fn usage_errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let (interval, timeout, stale_after) = (self.envoy_interval, self.timeout(), self.stale_after());
        let format = humantime::format_duration;
        if timeout > interval {
            errors.push(format!(
                "--envoy-timeout {} must not be longer than --envoy-interval {}",
                format(timeout),
                format(interval)
            ));
        }
        if stale_after <= interval {
            errors.push(format!(
                "--envoy-stale-after {} must be longer than --envoy-interval {}, or metrics would be stale before the next scrape",
                format(stale_after),
                format(interval)
            ));
        }
        if self.envoys.len() > MAX_ENVOYS {
            errors.push(format!("{} Envoys, the limit is {MAX_ENVOYS}", self.envoys.len()));
        }
        let mut envoys: Vec<_> = self.envoys.iter().map(host_and_port).collect();
        envoys.sort_unstable();
        for pair in envoys.windows(2) {
            if let [a, b] = pair
                && a == b
            {
                errors.push(format!("duplicate --envoy {a}"));
            }
        }
        errors
    }
}
