//! Owns the behaviours set for paths, or for a path and an adapter, with their limits of requests and time.

use std::collections::HashMap;
use std::num::NonZeroU64;

use tokio::time::Instant;

use crate::behaviour::Behaviour;

/// Keyed by `path` or `path#adapter`.
#[derive(Debug, Default)]
pub(crate) struct PathBehaviours(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    behaviour: Behaviour,
    since: Instant,
    used: u64,
}

// === impl PathBehaviours ===

impl PathBehaviours {
    pub(crate) fn set(&mut self, key: &str, behaviour: Behaviour, now: Instant) {
        let entry = Entry {
            behaviour,
            since: now,
            used: 0,
        };
        self.0.insert(key.to_owned(), entry);
    }

    /// The behaviour of one request, which counts against its limit. `path#adapter` takes precedence over `path`.
    pub(crate) fn take(&mut self, path: &str, adapter: Option<&str>, now: Instant) -> Behaviour {
        let own = adapter.map(|adapter| format!("{path}#{adapter}"));
        let found = own.and_then(|own| self.find(&own, now));
        found.or_else(|| self.find(path, now)).unwrap_or_default()
    }

    fn find(&mut self, key: &str, now: Instant) -> Option<Behaviour> {
        let entry = self.0.get_mut(key)?;
        let expired = |time| now.saturating_duration_since(entry.since) >= time;
        let exhausted = entry.behaviour.times.map(NonZeroU64::get) == Some(entry.used);
        if entry.behaviour.duration.is_some_and(expired) || exhausted {
            return None;
        }
        entry.used = entry.used.saturating_add(1);
        Some(entry.behaviour.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(list: &str) -> Behaviour {
        list.parse().unwrap()
    }

    #[test]
    fn an_adapters_behaviour_takes_precedence_and_applies_to_no_other() {
        let now = Instant::now();
        let mut behaviours = PathBehaviours::default();
        behaviours.set("/load", parse("status=500"), now);
        behaviours.set("/load#a", parse("status=404;times=1"), now);
        assert_eq!(behaviours.take("/load", Some("b"), now), parse("status=500"));
        assert_eq!(behaviours.take("/load", None, now), parse("status=500"));
        assert_eq!(behaviours.take("/load", Some("a"), now), parse("status=404;times=1"));
        assert_eq!(behaviours.take("/load", Some("a"), now), parse("status=500"));
        assert_eq!(behaviours.take("/other", Some("a"), now), Behaviour::default());
    }

    #[test]
    fn times_and_for_limit_a_behaviour_until_it_is_set_again() {
        let start = Instant::now();
        let mut behaviours = PathBehaviours::default();
        let applies = |behaviours: &mut PathBehaviours, seconds| {
            behaviours.take("/health", None, start + Duration::from_secs(seconds)) != Behaviour::default()
        };
        behaviours.set("/health", parse("status=503;for=5s;times=2"), start);
        assert_eq!(
            [0, 5, 4, 4].map(|at| applies(&mut behaviours, at)),
            [true, false, true, false]
        );
        behaviours.set("/health", parse("status=503;times=1"), start);
        assert_eq!([9, 9].map(|at| applies(&mut behaviours, at)), [true, false]);
        behaviours.set("/health", Behaviour::default(), start);
        assert!(!applies(&mut behaviours, 0));
    }
}
