//! Owns what requests get that bring no `x-sim` of their own: by path, or by path and adapter, for so many requests or
//! for so long.

use std::collections::HashMap;
use std::num::NonZeroU64;

use tokio::time::Instant;

use crate::behaviour::Behaviour;

/// The behaviours that stand in one server.
#[derive(Debug, Default)]
pub(crate) struct Standing(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    behaviour: Behaviour,
    since: Instant,
    used: u64,
}

// === impl Standing ===

impl Standing {
    /// From `now` on requests for this get this.
    pub(crate) fn set(&mut self, what: &str, behaviour: Behaviour, now: Instant) {
        let entry = Entry {
            behaviour,
            since: now,
            used: 0,
        };
        self.0.insert(what.to_owned(), entry);
    }

    /// What a request gets, which counts as one: `path#adapter` goes before `path`.
    pub(crate) fn take(&mut self, path: &str, adapter: Option<&str>, now: Instant) -> Behaviour {
        let own = adapter.map(|adapter| format!("{path}#{adapter}"));
        let found = own.and_then(|own| self.find(&own, now));
        found.or_else(|| self.find(path, now)).unwrap_or_default()
    }

    fn find(&mut self, what: &str, now: Instant) -> Option<Behaviour> {
        let entry = self.0.get_mut(what)?;
        let is_over = |time| now.saturating_duration_since(entry.since) >= time;
        if entry.behaviour.lasts.is_some_and(is_over) || entry.behaviour.times.map(NonZeroU64::get) == Some(entry.used)
        {
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

    fn read(list: &str) -> Behaviour {
        list.parse().unwrap()
    }

    #[test]
    fn an_adapter_goes_before_its_path_and_only_for_itself() {
        let now = Instant::now();
        let mut standing = Standing::default();
        standing.set("/load", read("status=500"), now);
        standing.set("/load#a", read("status=404;times=1"), now);
        assert_eq!(standing.take("/load", Some("b"), now), read("status=500"));
        assert_eq!(standing.take("/load", None, now), read("status=500"));
        assert_eq!(standing.take("/load", Some("a"), now), read("status=404;times=1"));
        assert_eq!(standing.take("/load", Some("a"), now), read("status=500"));
        assert_eq!(standing.take("/other", Some("a"), now), Behaviour::default());
    }

    #[test]
    fn times_and_for_end_it_and_setting_it_again_begins_anew() {
        let start = Instant::now();
        let mut standing = Standing::default();
        let gets = |standing: &mut Standing, seconds| {
            standing.take("/health", None, start + Duration::from_secs(seconds)) != Behaviour::default()
        };
        standing.set("/health", read("status=503;for=5s;times=2"), start);
        assert_eq!(
            [0, 5, 4, 4].map(|at| gets(&mut standing, at)),
            [true, false, true, false]
        );
        standing.set("/health", read("status=503;times=1"), start);
        assert_eq!([9, 9].map(|at| gets(&mut standing, at)), [true, false]);
        standing.set("/health", Behaviour::default(), start);
        assert!(!gets(&mut standing, 0));
    }
}
