//! The Envoys whose filter's metrics are served again, and what was read of them. Pure, as [`crate::pool`] is.
//!
//! An Envoy that can't be read loses its series after a while; it gets them back as they are when it can be read again,
//! and Prometheus sees a gap, or a reset if it was restarted meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::envoy::{self, EnvoyPage};
use crate::exposition::{Family, Kind, Series, Value};
use crate::scrape::history::History;
use crate::scrape::schedule::Attempt;

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

    /// The filter's metrics, and how fresh they are. With several Envoys each series says which it is of.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let fresh = self
            .proxies
            .iter()
            .filter_map(|proxy| Some((&*proxy.name, proxy.history.fresh(now, self.stale_after)?)));
        let mut families = envoy::families(fresh, self.proxies.len() > 1);
        let ages = self.proxies.iter().filter_map(|proxy| {
            let age = proxy.history.age(now)?;
            Some(series(
                vec![("envoy", Arc::clone(&proxy.name))],
                Value::Float(age.as_secs_f64()),
            ))
        });
        let errors = self.proxies.iter().flat_map(|proxy| {
            proxy.history.failures().map(|(reason, count)| {
                let labels = vec![
                    ("envoy", Arc::clone(&proxy.name)),
                    ("reason", Arc::from(reason.as_str())),
                ];
                series(labels, Value::Integer(count))
            })
        });
        let own = [
            Family {
                name: "infertally_syncer_envoy_last_scrape_age_seconds".into(),
                help: "Time since an Envoy's metrics were last read; absent until they are.".into(),
                kind: Kind::Gauge,
                series: ages.collect(),
            },
            Family {
                name: "infertally_syncer_envoy_scrape_errors_total".into(),
                help: "Attempts to read an Envoy's metrics that failed, by reason; a series is there from its first \
                       failure on."
                    .into(),
                kind: Kind::Counter,
                series: errors.collect(),
            },
        ];
        families.extend(own.into_iter().filter(|family| !family.series.is_empty()));
        families
    }
}

fn series(labels: Vec<(&'static str, Arc<str>)>, value: Value) -> Series {
    Series { labels, value }
}
