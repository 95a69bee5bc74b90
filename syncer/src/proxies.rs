//! The Envoys whose filter's metrics are served again, and what was read of them. Pure, as [`crate::pool`] is.
//!
//! An Envoy that can't be read loses its series after a while; it gets them back as they are when it can be read again,
//! and Prometheus sees a gap, or a reset if it was restarted meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::envoy::{self, EnvoyPage};
use crate::exposition::{Family, Metric, SeriesLabels, Value};
use crate::scrape::history::History;
use crate::scrape::schedule::Attempt;

const AGE: Metric = Metric::gauge(
    "infertally_syncer_envoy_last_scrape_age_seconds",
    "Time since an Envoy's metrics were last read; absent until they are.",
);
const ERRORS: Metric = Metric::counter(
    "infertally_syncer_envoy_scrape_errors_total",
    "Attempts to read an Envoy's metrics that failed, by reason; a series is there from its first failure on.",
);
const LEFT_OUT: Metric = Metric::gauge(
    "infertally_syncer_envoy_left_out",
    "What an Envoy's last page had under the filter's names and could not be served, by reason; absent where there is \
     nothing.",
);

/// All Envoys at a moment. A clone shares what is large.
#[derive(Clone, Debug)]
pub struct Proxies {
    stale_after: Duration,
    proxies: Vec<Proxy>,
}

#[derive(Clone, Debug)]
struct Proxy {
    /// `host:port`, the label `envoy`.
    name: Arc<str>,
    history: History<EnvoyPage>,
}

// === impl Proxies ===

impl Proxies {
    /// Envoys of these names, of which nothing is known yet.
    pub fn new(names: impl IntoIterator<Item = Arc<str>>, stale_after: Duration) -> Self {
        let proxies = names.into_iter().map(|name| Proxy {
            name,
            history: History::default(),
        });
        Self {
            stale_after,
            proxies: proxies.collect(),
        }
    }

    /// What an attempt to read the Envoy of this name came to.
    pub fn scraped(&mut self, name: &str, attempt: Attempt<EnvoyPage>) {
        if let Some(proxy) = self.proxies.iter_mut().find(|proxy| &*proxy.name == name) {
            proxy.history.add(attempt);
        }
    }

    /// Whether each was tried. The error says how many were not.
    pub fn ready(&self) -> Result<(), String> {
        let untried = self.proxies.iter().filter(|proxy| proxy.history.last().is_none());
        match untried.count() {
            0 => Ok(()),
            count => Err(format!("{count} of {} Envoys were not read yet", self.proxies.len())),
        }
    }

    /// The filter's metrics, and what became of reading them. With several Envoys each of the filter's series says which
    /// it is of.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let fresh = || {
            let proxies = self.proxies.iter();
            proxies.filter_map(|proxy| Some((proxy, proxy.history.fresh(now, self.stale_after)?)))
        };
        let pages = fresh().map(|(proxy, page)| (&*proxy.name, page));
        let mut families = envoy::families(pages, self.proxies.len() > 1);
        let ages = self.proxies.iter().filter_map(|proxy| {
            let age = proxy.history.age(now)?;
            Some(proxy.series(None, Value::Float(age.as_secs_f64())))
        });
        let errors = self.proxies.iter().flat_map(|proxy| {
            let failures = proxy.history.failures();
            failures.map(|(reason, count)| proxy.series(Some(reason.as_str()), Value::Integer(count)))
        });
        let left_out = fresh().flat_map(|(proxy, page)| {
            let counts = page.left_out().filter(|(_, count)| *count > 0);
            counts.map(|(reason, count)| proxy.series(Some(reason.as_str()), Value::Float(count as f64)))
        });
        let own = [AGE.family(ages), ERRORS.family(errors), LEFT_OUT.family(left_out)];
        families.extend(own.into_iter().filter(|family| !family.series.is_empty()));
        families
    }
}

// === impl Proxy ===

impl Proxy {
    /// The labels of a series of this Envoy, and what it stands at.
    fn series(&self, reason: Option<&str>, value: Value) -> (SeriesLabels, Value) {
        let mut labels = vec![("envoy", Arc::clone(&self.name))];
        labels.extend(reason.map(|reason| ("reason", Arc::from(reason))));
        (labels, value)
    }
}

#[cfg(test)]
mod tests;
