//! [`Envoys`], the state of the Envoys whose filter metrics are served again. Pure, as `pool` is.
//!
//! An Envoy that cannot be scraped loses its series when they are stale. When it can be scraped again, its series return
//! with its present values: Prometheus sees a gap, or a reset if the Envoy was restarted.
//!
//! An Envoy that discovery no longer lists is not scraped again, and its series stay until they are stale, too: Prometheus
//! must have time to scrape its last increments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::envoy_stats::{self, EnvoyPage};
use crate::exposition::{Family, Metric, SeriesLabels, Value};
use crate::scrape_status::{Attempt, Reason, ScrapeError, ScrapeStatus};
use crate::target::{Discovered, Target};

/// Envoys that are scraped. The page repeats every series for each of them; more are better scraped by Prometheus itself.
pub const MAX_ENVOYS: usize = 100;
/// Series of all Envoys together, where a histogram counts as one: some 100 MB if all are histograms. It is five times what
/// one page may have.
pub const MAX_SERIES: usize = 5 * envoy_stats::MAX_SERIES;

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
const DISCOVERY_AGE: Metric = Metric::gauge(
    "infertally_syncer_envoy_discovery_age_seconds",
    "How long discovery of Envoys has been failing, while the last known ones are kept; 0 while it works; absent for a \
     fixed list.",
);

/// Where the Envoys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// One that is configured: its series have exactly the labels of the guide.
    One,
    /// Any other number that is configured.
    List,
    /// Found by DNS or Kubernetes; they come and go.
    Discovery,
}

/// The state of all Envoys. Clones share all large parts.
#[derive(Clone, Debug)]
pub struct Envoys {
    source: Source,
    stale_after: Duration,
    /// Sorted by name.
    envoys: Vec<Envoy>,
    discovery: DiscoveryState,
    /// Whether all have been scraped once. Those that come later do not end it.
    was_ready: bool,
}

#[derive(Clone, Debug, Default)]
struct DiscoveryState {
    /// Whether it has sent targets or a failure.
    completed: bool,
    failing_since: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Envoy {
    /// Its name is `host:port`: the label `envoy`.
    target: Target,
    /// Whether discovery no longer lists it.
    is_gone: bool,
    scrapes: ScrapeStatus<EnvoyPage>,
}

/// The page of an Envoy is not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all Envoys together have more than {MAX_SERIES} series")]
pub struct TooManySeries;

// === impl Envoys ===

impl Envoys {
    /// No Envoys yet. A page is fresh for `stale_after` from the end of its scrape.
    pub fn new(source: Source, stale_after: Duration) -> Self {
        Self {
            source,
            stale_after,
            envoys: Vec::new(),
            discovery: DiscoveryState::default(),
            was_ready: false,
        }
    }

    /// Applies an update of discovery. Envoys that stay keep their state.
    ///
    /// # Errors
    /// Why the Envoys may be out of date, for the log.
    pub fn discovered(&mut self, discovered: Discovered, now: Instant) -> Result<(), String> {
        let result = match discovered {
            Discovered::Targets(targets) if targets.len() <= MAX_ENVOYS => {
                self.replace(targets, now);
                Ok(())
            }
            // No source of Envoys sends it.
            Discovered::Removed => Ok(()),
            Discovered::Targets(targets) => Err(format!("{} Envoys, the limit is {MAX_ENVOYS}", targets.len())),
            Discovered::Failing { why } => Err(why),
        };
        self.discovery = DiscoveryState {
            completed: true,
            failing_since: result.is_err().then(|| self.discovery.failing_since.unwrap_or(now)),
        };
        self.was_ready |= self.missing().is_none();
        result
    }

    fn replace(&mut self, targets: Vec<Target>, now: Instant) {
        let mut envoys = std::mem::take(&mut self.envoys);
        envoys.iter_mut().for_each(|envoy| envoy.is_gone = true);
        for target in targets {
            match envoys.iter_mut().find(|envoy| envoy.target.name == target.name) {
                Some(envoy) => {
                    envoy.target = target;
                    envoy.is_gone = false;
                }
                None => envoys.push(Envoy {
                    target,
                    is_gone: false,
                    scrapes: ScrapeStatus::default(),
                }),
            }
        }
        envoys.sort_by(|a, b| a.target.name.cmp(&b.target.name));
        self.envoys = envoys;
        self.forget(now);
    }

    /// Removes those that are gone and whose metrics are stale.
    fn forget(&mut self, now: Instant) {
        let stale_after = self.stale_after;
        self.envoys.retain(|envoy| envoy.is_served(now, stale_after));
    }

    /// The Envoys to scrape, sorted by name.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.envoys
            .iter()
            .filter(|envoy| !envoy.is_gone)
            .map(|envoy| &envoy.target)
    }

    /// Records a scrape. Ignores one of an Envoy that is gone.
    ///
    /// # Errors
    /// The page is not kept. Reported when it begins, not for each page.
    pub fn scraped(&mut self, name: &str, mut attempt: Attempt<EnvoyPage>) -> Result<(), TooManySeries> {
        self.forget(attempt.ended_at);
        let others = self.envoys.iter().filter(|envoy| &*envoy.target.name != name);
        let others: usize = others
            .filter_map(|envoy| envoy.scrapes.value())
            .map(EnvoyPage::series)
            .sum();
        let is_excess = attempt
            .result
            .as_ref()
            .is_ok_and(|page| others + page.series() > MAX_SERIES);
        if is_excess {
            attempt.result = Err(ScrapeError {
                reason: Reason::TooLarge,
                message: TooManySeries.to_string(),
            });
        }
        let Some(envoy) = self.envoys.iter_mut().find(|envoy| &*envoy.target.name == name) else {
            return Ok(());
        };
        let previous = envoy.scrapes.last_attempt().and_then(|last| last.failure);
        envoy.scrapes.record(attempt);
        self.was_ready |= self.missing().is_none();
        if is_excess && previous != Some(Reason::TooLarge) {
            return Err(TooManySeries);
        }
        Ok(())
    }

    /// Whether each has been scraped once, successfully or not. It stays so when there are new ones. Discovery that fails
    /// suffices, too: Envoys must not keep the pool's gauges from being served.
    ///
    /// # Errors
    /// What is missing, as a sentence for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        match self.missing() {
            Some(missing) if !self.was_ready => Err(missing),
            _ => Ok(()),
        }
    }

    fn missing(&self) -> Option<String> {
        if !self.discovery.completed {
            return Some("discovery of Envoys has not completed".to_owned());
        }
        let current = || self.envoys.iter().filter(|envoy| !envoy.is_gone);
        let unscraped = current().filter(|envoy| envoy.scrapes.last_attempt().is_none());
        match unscraped.count() {
            0 => None,
            count => Some(format!(
                "{count} of {} Envoys have not been scraped yet",
                current().count()
            )),
        }
    }

    /// The filter's metrics and those of the scrapes. Unless the source is [`Source::One`] the filter's series have the label
    /// `envoy`, however many Envoys there are: a series whose labels change is another series.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let served = || {
            let envoys = self.envoys.iter();
            envoys.filter(|envoy| envoy.is_served(now, self.stale_after))
        };
        let fresh = || served().filter_map(|envoy| Some((envoy, envoy.scrapes.fresh(now, self.stale_after)?)));
        let pages = fresh().map(|(envoy, page)| (&*envoy.target.name, page));
        let mut families = envoy_stats::families(pages, self.source != Source::One);
        let ages = served().filter_map(|envoy| {
            let age = envoy.scrapes.age(now)?;
            Some(envoy.series(None, Value::Float(age.as_secs_f64())))
        });
        let errors = served().flat_map(|envoy| {
            let failures = envoy.scrapes.failures();
            failures.map(|(reason, count)| envoy.series(Some(reason.as_str()), Value::Integer(count)))
        });
        let dropped = fresh().flat_map(|(envoy, page)| {
            let counts = page.dropped().filter(|(_, count)| *count > 0);
            counts.map(|(reason, count)| envoy.series(Some(reason.as_str()), Value::Float(count as f64)))
        });
        let discovery_age = (self.source == Source::Discovery && self.discovery.completed).then(|| {
            let since = self.discovery.failing_since;
            let age = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            (Vec::new(), Value::Float(age.as_secs_f64()))
        });
        let own = [
            SCRAPE_AGE.family(ages),
            SCRAPE_ERRORS.family(errors),
            DROPPED_SERIES.family(dropped),
            DISCOVERY_AGE.family(discovery_age),
        ];
        families.extend(own.into_iter().filter(|family| !family.series.is_empty()));
        families
    }
}

// === impl Envoy ===

impl Envoy {
    /// Whether it is still listed, or its last page still fresh.
    fn is_served(&self, now: Instant, stale_after: Duration) -> bool {
        !self.is_gone || self.scrapes.fresh(now, stale_after).is_some()
    }

    /// A series of this Envoy.
    fn series(&self, reason: Option<&str>, value: Value) -> (SeriesLabels, Value) {
        let mut labels = vec![("envoy", Arc::clone(&self.target.name))];
        labels.extend(reason.map(|reason| ("reason", Arc::from(reason))));
        (labels, value)
    }
}

#[cfg(test)]
mod tests;
