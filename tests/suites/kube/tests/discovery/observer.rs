//! Observes what discovery reports.

use std::time::Duration;

use infertally_syncer::discovery::kubernetes::{MetricsEndpoint, RoleLabels, client_for, watch};
use infertally_syncer::target::{Discovered, PoolId, Target};
use kube::Config;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

/// Longer than discovery's longest backoff, for busy machines.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs discovery of the pool `chat` and keeps what it reported last.
pub struct Observer {
    events: Receiver<(PoolId, Discovered)>,
    pub targets: Option<Vec<Target>>,
    pub failing: Option<String>,
    /// Whether it ever reported an empty set of targets.
    pub was_empty: bool,
}

// === impl Observer ===

impl Observer {
    /// Starts discovery with the credentials of this configuration.
    pub fn start(config: Config) -> Self {
        let (out, events) = channel(16);
        let endpoint = MetricsEndpoint::default();
        tokio::spawn(watch(
            client_for(config).unwrap(),
            "chat".parse().unwrap(),
            endpoint,
            RoleLabels::default(),
            out,
        ));
        Self {
            events,
            targets: None,
            failing: None,
            was_empty: false,
        }
    }

    /// Receives reports until `done` holds.
    async fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !done(self) {
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some((_, Discovered::Targets(targets)))) => {
                    self.was_empty |= targets.is_empty();
                    self.targets = Some(targets);
                    self.failing = None;
                }
                Ok(Some((_, Discovered::Failing { why }))) => self.failing = Some(why),
                Ok(Some((pool, Discovered::Removed))) => panic!("{pool} was removed"),
                Ok(None) => panic!("discovery ended"),
                Err(_) => panic!(
                    "discovery did not report {what} in time; targets: {:?}, failing: {:?}",
                    self.names(),
                    self.failing
                ),
            }
        }
    }

    /// Waits for these targets without a failure; `!` marks one that is not ready.
    pub async fn wait_for_names(&mut self, names: &[&str]) {
        let what = format!("{names:?}");
        self.wait(&what, |observer| {
            observer.failing.is_none() && observer.names() == names
        })
        .await;
    }

    /// Waits for a failure with these words and checks that the targets are unchanged.
    pub async fn wait_for_failure(&mut self, words: &str) {
        let before = self.targets.clone();
        self.wait(words, |observer| {
            observer.failing.as_ref().is_some_and(|why| why.contains(words))
        })
        .await;
        assert_eq!(self.targets, before);
    }

    /// Waits until the pool is unknown: no targets, and a failure with these words.
    pub async fn wait_until_unknown(&mut self, words: &str) {
        self.wait(words, |observer| {
            observer.names().is_empty()
                && observer.targets.is_some()
                && observer.failing.as_ref().is_some_and(|why| why.contains(words))
        })
        .await;
    }

    /// Waits for targets with these URLs.
    pub async fn wait_for_urls(&mut self, urls: &[&str]) {
        let what = format!("{urls:?}");
        self.wait(&what, |observer| observer.urls() == urls).await;
    }

    pub fn urls(&self) -> Vec<String> {
        let targets = self.targets.iter().flatten();
        targets
            .map(|target| target.url.as_ref().map_or_else(String::new, ToString::to_string))
            .collect()
    }

    fn names(&self) -> Vec<String> {
        let name = |target: &Target| match target.ready {
            Some(true) => target.name.to_string(),
            _ => format!("!{}", target.name),
        };
        self.targets.iter().flatten().map(name).collect()
    }
}
