//! What a target's attempts came to so far: the last good page as long as it is fresh, and how often there was none.

use std::time::{Duration, Instant};

use super::Reason;
use super::schedule::Attempt;

/// The attempts on one target.
#[derive(Clone, Debug)]
pub struct History<T> {
    good: Option<(Instant, T)>,
    last: Option<Last>,
    /// By number of [`Reason`].
    failures: [u64; Reason::ALL.len()],
}

/// The last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// How long it took.
    pub took: Duration,
    /// Why it came to nothing, if it did.
    pub failure: Option<Reason>,
}

// === impl History ===

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            good: None,
            last: None,
            failures: Default::default(),
        }
    }
}

impl<T> History<T> {
    /// One more attempt.
    pub fn add(&mut self, attempt: Attempt<T>) {
        let failure = match attempt.outcome {
            Ok(page) => {
                self.good = Some((attempt.at, page));
                None
            }
            Err(failure) => Some(failure.reason),
        };
        if let Some(count) = failure.and_then(|reason| self.failures.get_mut(reason as usize)) {
            *count += 1;
        }
        self.last = Some(Last {
            took: attempt.took,
            failure,
        });
    }

    /// Forgets what was read, as when another server stands where the target was; counters do not fall.
    pub fn forget(&mut self) {
        self.good = None;
        self.last = None;
    }

    /// The last good page, if it was read less than `stale_after` ago.
    pub fn fresh(&self, now: Instant, stale_after: Duration) -> Option<&T> {
        let (at, page) = self.good.as_ref()?;
        (now.saturating_duration_since(*at) < stale_after).then_some(page)
    }

    /// How long ago the last good page was read.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.good.as_ref().map(|(at, _)| now.saturating_duration_since(*at))
    }

    /// The last attempt.
    pub fn last(&self) -> Option<Last> {
        self.last
    }

    /// The failures that there were, by reason.
    pub fn failures(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL
            .into_iter()
            .zip(self.failures)
            .filter(|(_, count)| *count > 0)
    }
}
