//! When a target is scraped, and one attempt to do so.

use std::time::Duration;

use http::Uri;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::fetch::{Client, Page};
use crate::error::error_chain;
use crate::scrape_status::{Attempt, Reason, ScrapeError};

/// The first scrape of a target starts within this time, however long the interval: `/readyz` waits for it.
const MAX_FIRST_DELAY: Duration = Duration::from_secs(1);

/// How often a target is scraped, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From the start of one attempt to the start of the next.
    pub interval: Duration,
    /// At most `interval`.
    pub timeout: Duration,
}

/// Fetches a page and reads it.
pub async fn attempt<T, E: std::error::Error>(
    client: &Client,
    url: &Uri,
    timeout: Duration,
    read: impl FnOnce(&Page) -> Result<T, E>,
) -> Attempt<T> {
    let started = Instant::now();
    let result = match client.fetch(url, timeout).await {
        Ok(page) => read(&page).map_err(|error| ScrapeError {
            reason: Reason::Parse,
            message: error_chain(&error),
        }),
        Err(error) => Err(ScrapeError {
            reason: error.reason(),
            message: error.to_string(),
        }),
    };
    let ended = Instant::now();
    Attempt {
        ended_at: ended.into_std(),
        duration: ended - started,
        result,
    }
}

/// The scrape times of one target. A random offset within the interval keeps a thousand targets from being scraped at
/// once.
#[derive(Debug)]
pub struct Ticks {
    interval: Duration,
    offset: Duration,
    first_delay: Option<Duration>,
    ticker: Option<Interval>,
}

// === impl Ticks ===

impl Ticks {
    /// Chooses the offset.
    pub fn new(interval: Duration) -> Self {
        let fraction = fastrand::f64();
        Self {
            interval,
            offset: interval.mul_f64(fraction),
            first_delay: Some(interval.min(MAX_FIRST_DELAY).mul_f64(fraction)),
            ticker: None,
        }
    }

    /// Waits for the next scrape. Scrapes that were missed are not made up for.
    pub async fn next(&mut self) {
        if let Some(delay) = self.first_delay.take() {
            tokio::time::sleep(delay).await;
            return;
        }
        let Self { interval, offset, .. } = *self;
        let ticker = self.ticker.get_or_insert_with(|| {
            let mut ticker = tokio::time::interval_at(Instant::now() + offset.max(interval / 2), interval);
            ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticker
        });
        ticker.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first_four_times(interval: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let mut ticks = Ticks::new(interval);
        let mut times = Vec::new();
        for _ in 0..4 {
            ticks.next().await;
            times.push(start.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn scrapes_are_spread_over_the_interval_and_the_first_comes_soon() {
        for interval in [
            Duration::from_millis(100),
            Duration::from_secs(1),
            Duration::from_secs(30),
        ] {
            let mut firsts = Vec::new();
            for _ in 0..100 {
                let times = first_four_times(interval).await;
                assert!(times[0] <= MAX_FIRST_DELAY.min(interval), "{times:?}");
                for pair in times.windows(2) {
                    let gap = pair[1] - pair[0];
                    assert!(gap <= interval + Duration::from_millis(2), "{times:?}");
                    assert!(gap + Duration::from_millis(2) >= interval / 2, "{times:?}");
                }
                firsts.push(times[0]);
            }
            firsts.sort();
            assert!(
                firsts[90] - firsts[10] > interval.min(MAX_FIRST_DELAY) / 2,
                "{firsts:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_scrape_delays_the_next_and_causes_no_burst() {
        let interval = Duration::from_secs(1);
        let mut ticks = Ticks::new(interval);
        for _ in 0..2 {
            ticks.next().await;
        }
        tokio::time::sleep(interval * 5).await;
        ticks.next().await;
        let late = Instant::now();
        ticks.next().await;
        assert!(late.elapsed() >= interval - Duration::from_millis(2));
    }
}
