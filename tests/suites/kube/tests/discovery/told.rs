//! What discovery has told so far.

use std::time::Duration;

use infertally_syncer::discovery::kubernetes::{client_for, watch};
use infertally_syncer::discovery::{Discovered, Target};
use kube::Config;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

/// Longer than discovery's longest pause, on a machine that is busy with more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Discovery of the pool `chat`, and what it told last.
pub struct Told {
    news: Receiver<Discovered>,
    pub targets: Option<Vec<Target>>,
    pub failing: Option<String>,
    /// Whether a set of none was ever told.
    pub was_empty: bool,
}

// === impl Told ===

impl Told {
    /// Starts discovery for whoever this configuration is.
    pub fn by(config: Config) -> Self {
        let (out, news) = channel(16);
        tokio::spawn(watch(client_for(config).unwrap(), "chat".parse().unwrap(), out));
        Self {
            news,
            targets: None,
            failing: None,
            was_empty: false,
        }
    }

    /// Takes in what is told until it is so.
    async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            match timeout_at(deadline, self.news.recv()).await {
                Ok(Some(Discovered::Targets(targets))) => {
                    self.was_empty |= targets.is_empty();
                    self.targets = Some(targets);
                    self.failing = None;
                }
                Ok(Some(Discovered::Failing { why })) => self.failing = Some(why),
                Ok(None) => panic!("discovery ended"),
                Err(_) => panic!(
                    "not told in time: {what}; but {:?}, failing: {:?}",
                    self.names(),
                    self.failing
                ),
            }
        }
    }

    /// Until these are the targets and all is well; with a `!` for one that is not ready.
    pub async fn names_are(&mut self, names: &[&str]) {
        let what = format!("{names:?}");
        self.until(&what, |told| told.failing.is_none() && told.names() == names)
            .await;
    }

    /// Until discovery fails with such words; the targets stay as they were.
    pub async fn fails(&mut self, words: &str) {
        let before = self.targets.clone();
        self.until(words, |told| {
            told.failing.as_ref().is_some_and(|why| why.contains(words))
        })
        .await;
        assert_eq!(self.targets, before);
    }

    /// Until the pool is told to be unknown.
    pub async fn is_unknown(&mut self, words: &str) {
        self.until(words, |told| {
            told.names().is_empty()
                && told.targets.is_some()
                && told.failing.as_ref().is_some_and(|why| why.contains(words))
        })
        .await;
    }

    /// Until these are the targets' addresses.
    pub async fn urls_are(&mut self, urls: &[&str]) {
        let what = format!("{urls:?}");
        self.until(&what, |told| told.urls() == urls).await;
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
