//! When to read which page, and what one attempt came to.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use http::Uri;
use tokio::time::{Interval, MissedTickBehavior};

use super::Reason;
use super::fetch::{Client, Page};

/// The first attempt comes within this time, however long the interval: somebody waits for the syncer to be ready.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// How often, and how long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From one attempt's start to the next one's.
    pub every: Duration,
    /// Shorter than `every`.
    pub timeout: Duration,
}

/// An attempt to read a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt<T> {
    /// When it ended.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// What the page says, or why there is none.
    pub outcome: Result<T, Failure>,
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which of the closed set.
    pub reason: Reason,
    /// In words.
    pub why: String,
}

/// Reads a page and what it says.
pub async fn attempt<T, E: std::error::Error>(
    client: &Client,
    url: &Uri,
    timeout: Duration,
    read: impl FnOnce(&Page) -> Result<T, E>,
) -> Attempt<T> {
    let started = tokio::time::Instant::now();
    let outcome = match client.fetch(url, timeout).await {
        Ok(page) => read(&page).map_err(|error| Failure {
            reason: Reason::Parse,
            why: crate::error_chain(&error),
        }),
        Err(error) => Err(Failure {
            reason: error.reason(),
            why: error.to_string(),
        }),
    };
    let at = tokio::time::Instant::now();
    Attempt {
        at: at.into_std(),
        took: at - started,
        outcome,
    }
}

/// The times at which a target is read. They differ from target to target, so that a thousand are not read at once, and
/// are the same again after a restart.
#[derive(Debug)]
pub struct Ticks {
    first: Option<Duration>,
    every: Duration,
    rest: Option<Interval>,
    phase: Duration,
}

// === impl Ticks ===

impl Ticks {
    /// For the target of this name.
    pub fn new(name: &str, every: Duration) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let part = hasher.finish() as f64 / u64::MAX as f64;
        Self {
            first: Some(every.min(FIRST_WITHIN).mul_f64(part)),
            every,
            rest: None,
            phase: every.mul_f64(part),
        }
    }

    /// Waits for the next. One that was missed is not made up for.
    pub async fn next(&mut self) {
        if let Some(first) = self.first.take() {
            tokio::time::sleep(first).await;
            return;
        }
        let (every, phase) = (self.every, self.phase);
        let rest = self.rest.get_or_insert_with(|| {
            let mut rest = tokio::time::interval_at(tokio::time::Instant::now() + phase.max(every / 2), every);
            rest.set_missed_tick_behavior(MissedTickBehavior::Delay);
            rest
        });
        rest.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn times(name: &str, every: Duration) -> Vec<Duration> {
        let start = tokio::time::Instant::now();
        let mut ticks = Ticks::new(name, every);
        let mut times = Vec::new();
        for _ in 0..4 {
            ticks.next().await;
            times.push(start.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn targets_are_read_at_times_of_their_own_and_none_waits_long_for_its_first() {
        for every in [
            Duration::from_millis(100),
            Duration::from_secs(1),
            Duration::from_secs(30),
        ] {
            let mut firsts = Vec::new();
            for index in 0..100 {
                let times = times(&format!("pod-{index}"), every).await;
                assert!(times[0] <= FIRST_WITHIN.min(every), "{times:?}");
                for pair in times.windows(2) {
                    let gap = pair[1] - pair[0];
                    assert!(gap <= every + Duration::from_millis(2), "{times:?}");
                    assert!(gap + Duration::from_millis(2) >= every / 2, "{times:?}");
                }
                firsts.push(times[0]);
            }
            firsts.sort();
            assert!(firsts[90] - firsts[10] > every.min(FIRST_WITHIN) / 2, "{firsts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_takes_long_shifts_the_next_and_makes_no_burst() {
        let every = Duration::from_secs(1);
        let mut ticks = Ticks::new("pod", every);
        for _ in 0..2 {
            ticks.next().await;
        }
        tokio::time::sleep(every * 5).await;
        ticks.next().await;
        let late = tokio::time::Instant::now();
        ticks.next().await;
        assert!(late.elapsed() >= every - Duration::from_millis(2));
    }
}
