//! [`Envoys`], the state of the Envoys whose filter metrics are served again. Pure, as `pool` is.
//!
//! An Envoy that cannot be scraped loses its series when they are stale. When it can be scraped again, its series return
//! with its present values: Prometheus sees a gap, or a reset if the Envoy was restarted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::envoy_stats::{self, EnvoyPage};
use crate::exposition::{Family, Metric, SeriesLabels, Value};
use crate::scrape_status::{Attempt, ScrapeStatus};

const SCRAPE_AGE: Metric = Metric::gauge(
    "infertally_syncer_envoy_last_scrape_age_seconds",
    "Time since the last successful scrape of an Envoy; absent until the first.",
);
const SCRAPE_ERRORS: Metric = Metric::counter(
    "infertally_syncer_envoy_scrape_errors_total",
    "Failed scrapes of an Envoy, by reason; absent until the first failure.",
);
const DROPPED_SERIES: Metric = Metric::gauge(
    "infertally_syncer_envoy_dropped_series",
    "Series of an Envoy's last page that have a name of the filter and are not served, by reason; absent without such \
     series.",
);

/// The state of all Envoys. Clones share all large parts.
#[derive(Clone, Debug)]
pub struct Envoys {
    stale_after: Duration,
    envoys: Vec<Envoy>,
}

#[derive(Clone, Debug)]
struct Envoy {
    /// `host:port`: the label `envoy`.
    name: Arc<str>,
    scrapes: ScrapeStatus<EnvoyPage>,
}

// === impl Envoys ===

impl Envoys {
    /// Envoys of these names. A page is fresh for `stale_after` from the end of its scrape.
    pub fn new(names: impl IntoIterator<Item = Arc<str>>, stale_after: Duration) -> Self {
        let envoys = names.into_iter().map(|name| Envoy {
            name,
            scrapes: ScrapeStatus::default(),
        });
        Self {
            stale_after,
            envoys: envoys.collect(),
        }
    }

    /// Records a scrape.
    pub fn scraped(&mut self, name: &str, attempt: Attempt<EnvoyPage>) {
        if let Some(envoy) = self.envoys.iter_mut().find(|envoy| &*envoy.name == name) {
            envoy.scrapes.record(attempt);
        }
    }

    /// Whether each has been scraped, successfully or not.
    ///
    /// # Errors
    /// What is missing, as a sentence for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        let unscraped = self
            .envoys
            .iter()
            .filter(|envoy| envoy.scrapes.last_attempt().is_none());
        match unscraped.count() {
            0 => Ok(()),
            count => Err(format!(
                "{count} of {} Envoys have not been scraped yet",
                self.envoys.len()
            )),
        }
    }

    /// The filter's metrics and those of the scrapes. With several Envoys the filter's series have the label `envoy`.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let fresh = || {
            let envoys = self.envoys.iter();
            envoys.filter_map(|envoy| Some((envoy, envoy.scrapes.fresh(now, self.stale_after)?)))
        };
        let pages = fresh().map(|(envoy, page)| (&*envoy.name, page));
        let mut families = envoy_stats::families(pages, self.envoys.len() > 1);
        let ages = self.envoys.iter().filter_map(|envoy| {
            let age = envoy.scrapes.age(now)?;
            Some(envoy.series(None, Value::Float(age.as_secs_f64())))
        });
        let errors = self.envoys.iter().flat_map(|envoy| {
            let failures = envoy.scrapes.failures();
            failures.map(|(reason, count)| envoy.series(Some(reason.as_str()), Value::Integer(count)))
        });
        let dropped = fresh().flat_map(|(envoy, page)| {
            let counts = page.dropped().filter(|(_, count)| *count > 0);
            counts.map(|(reason, count)| envoy.series(Some(reason.as_str()), Value::Float(count as f64)))
        });
        let own = [
            SCRAPE_AGE.family(ages),
            SCRAPE_ERRORS.family(errors),
            DROPPED_SERIES.family(dropped),
        ];
        families.extend(own.into_iter().filter(|family| !family.series.is_empty()));
        families
    }
}

// === impl Envoy ===

impl Envoy {
    /// A series of this Envoy.
    fn series(&self, reason: Option<&str>, value: Value) -> (SeriesLabels, Value) {
        let mut labels = vec![("envoy", Arc::clone(&self.name))];
        labels.extend(reason.map(|reason| ("reason", Arc::from(reason))));
        (labels, value)
    }
}

#[cfg(test)]
mod tests;
