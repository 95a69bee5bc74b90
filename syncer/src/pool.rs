//! The pool's state, and what it says at a moment. Pure: events and times in, families of series out.
//!
//! One task writes a [`Pool`]; a clone is the snapshot that any number of readers keep, and shares all that is large.
//! What is fresh is decided when it is asked, not when it was written: nothing has to happen for a value to grow old.

mod gauges;
mod metrics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::discovery::{Discovered, Target};
use crate::engine::ServerLoad;
use crate::scrape::Reason;
use crate::scrape::history::{History, Last};
use crate::scrape::schedule::Attempt;

/// A pool of replicas at a moment.
#[derive(Clone, Debug)]
pub struct Pool {
    name: Arc<str>,
    stale_after: Duration,
    /// By name, ascending.
    pods: Vec<Arc<Pod>>,
    source: Source,
}

/// What is known of where the pods are.
#[derive(Clone, Debug, Default)]
struct Source {
    /// It has told a set at least once.
    synced: bool,
    /// Since when it can't say, and why.
    failing: Option<(Instant, Arc<str>)>,
}

/// A replica, and what was read of it.
#[derive(Clone, Debug)]
struct Pod {
    target: Target,
    history: History<ServerLoad>,
}

/// What a pod counts as: the label `state`. Closed, and each pod is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Ready, and its load is known.
    Ready,
    /// Not ready by Kubernetes' word, or not yet tried.
    NotReady,
    /// It answers, but with nothing that can be read, for longer than a value is good.
    Stale,
    /// It doesn't answer.
    Unreachable,
}

// === impl Pool ===

impl Pool {
    /// A pool of this name of which nothing is known yet. A load is good for `stale_after` from when it was read.
    pub fn new(name: &str, stale_after: Duration) -> Self {
        Self {
            name: Arc::from(name),
            stale_after,
            pods: Vec::new(),
            source: Source::default(),
        }
    }

    /// Where the pods are, or that nobody can say. Pods that stay keep what is known of them, unless they moved.
    pub fn discovered(&mut self, discovered: Discovered, now: Instant) {
        let mut targets = match discovered {
            Discovered::Targets(targets) => targets,
            Discovered::Failing { why } => {
                let since = self.source.failing.as_ref().map_or(now, |(since, _)| *since);
                self.source.failing = Some((since, Arc::from(why)));
                return;
            }
        };
        self.source = Source {
            synced: true,
            failing: None,
        };
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        targets.dedup_by(|a, b| a.name == b.name);
        let pods = targets.into_iter().map(|target| match self.pod(&target.name) {
            Some(pod) if pod.target == target => Arc::clone(pod),
            Some(pod) => Arc::new(pod.changed(target)),
            None => Arc::new(Pod::new(target)),
        });
        self.pods = pods.collect();
    }

    /// What an attempt to read a target's load came to. One that was begun before the target moved or went says nothing.
    pub fn scraped(&mut self, target: &Target, attempt: Attempt<ServerLoad>) {
        let Ok(index) = self.position(&target.name) else { return };
        if let Some(pod) = self.pods.get_mut(index).filter(|pod| pod.target.url == target.url) {
            Arc::make_mut(pod).history.add(attempt);
        }
    }

    /// Where its pods are, ascending by name.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.pods.iter().map(|pod| &pod.target)
    }

    /// Whether all of it is known that can be known: where the pods are, and of each with an address what an attempt came
    /// to. The error says what is missing.
    pub fn ready(&self) -> Result<(), String> {
        match &self.source {
            Source { synced: true, .. } => {}
            Source {
                failing: Some((_, why)),
                ..
            } => return Err(format!("the pods cannot be found: {why}")),
            _ => return Err("the pods are not known yet".to_owned()),
        }
        let untried = self
            .pods
            .iter()
            .filter(|pod| pod.target.url.is_some() && pod.history.last().is_none());
        match untried.count() {
            0 => Ok(()),
            count => Err(format!("{count} of {} pods were not read yet", self.pods.len())),
        }
    }

    /// Since when the source of targets can't say where they are.
    fn source_age(&self, now: Instant) -> Duration {
        let failing = self.source.failing.as_ref();
        failing.map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }

    fn pod(&self, name: &str) -> Option<&Arc<Pod>> {
        self.position(name).ok().and_then(|index| self.pods.get(index))
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pods.binary_search_by(|pod| (*pod.target.name).cmp(name))
    }
}

// === impl Pod ===

impl Pod {
    fn new(target: Target) -> Self {
        Self {
            target,
            history: History::default(),
        }
    }

    /// The same pod by name. At another address it is another server, of which nothing is known.
    fn changed(&self, target: Target) -> Self {
        let mut history = self.history.clone();
        if self.target.url != target.url {
            history.forget();
        }
        Self { target, history }
    }

    /// Kubernetes' word; where nobody says, whether its load is known.
    fn is_ready(&self, now: Instant, stale_after: Duration) -> bool {
        self.target
            .ready
            .unwrap_or_else(|| self.history.fresh(now, stale_after).is_some())
    }

    fn state(&self, now: Instant, stale_after: Duration) -> State {
        match (self.target.ready, self.history.last()) {
            (Some(false), _) | (_, None) => State::NotReady,
            _ if self.history.fresh(now, stale_after).is_some() => State::Ready,
            (
                _,
                Some(Last {
                    failure: Some(Reason::Connect | Reason::Timeout),
                    ..
                }),
            ) => State::Unreachable,
            _ => State::Stale,
        }
    }
}

// === impl State ===

impl State {
    const ALL: [Self; 4] = [Self::Ready, Self::NotReady, Self::Stale, Self::Unreachable];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
        }
    }
}

#[cfg(test)]
mod tests;
