//! [`ScrapeStatus`], what is known of a target from its scrapes: the last value while it is fresh, the last attempt, and a
//! count of failures by reason. Pure: the scraper reports each [`Attempt`] with its time, and callers pass in the present.

use std::time::{Duration, Instant};

/// One attempt to scrape a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt<T> {
    /// When it ended.
    pub ended_at: Instant,
    /// How long it took.
    pub duration: Duration,
    /// What was read from the page.
    pub result: Result<T, ScrapeError>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeError {
    /// The label value.
    pub reason: Reason,
    /// The cause, for the log.
    pub message: String,
}

/// Why a scrape failed: the label `reason`. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The connection could not be opened, or it broke before the response's headers.
    Connect,
    /// TLS failed: a certificate is not accepted, or one side does not speak TLS.
    Tls,
    /// The response was not complete within the timeout.
    Timeout,
    /// The status was not 200.
    Status,
    /// The body was incomplete, or its content-encoding cannot be decoded.
    Body,
    /// The page is over the limit.
    TooLarge,
    /// The page is not in an exposition format.
    Parse,
}

/// The scrapes of one target so far.
#[derive(Clone, Debug)]
pub struct ScrapeStatus<T> {
    last_success: Option<(Instant, T)>,
    last_attempt: Option<LastAttempt>,
    /// Indexed by [`Reason`].
    failures: [u64; Reason::ALL.len()],
}

/// How the last attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// How long it took.
    pub duration: Duration,
    /// Why it failed; `None` if it succeeded.
    pub failure: Option<Reason>,
}

// === impl Reason ===

impl Reason {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Status,
        Self::Body,
        Self::TooLarge,
        Self::Parse,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Body => "body",
            Self::TooLarge => "too_large",
            Self::Parse => "parse",
        }
    }
}

// === impl ScrapeStatus ===

impl<T> Default for ScrapeStatus<T> {
    fn default() -> Self {
        Self {
            last_success: None,
            last_attempt: None,
            failures: Default::default(),
        }
    }
}

impl<T> ScrapeStatus<T> {
    /// Records an attempt.
    pub fn record(&mut self, attempt: Attempt<T>) {
        let failure = match attempt.result {
            Ok(value) => {
                self.last_success = Some((attempt.ended_at, value));
                None
            }
            Err(error) => Some(error.reason),
        };
        if let Some(count) = failure.and_then(|reason| self.failures.get_mut(reason as usize)) {
            *count += 1;
        }
        self.last_attempt = Some(LastAttempt {
            duration: attempt.duration,
            failure,
        });
    }

    /// Drops the value and the last attempt, because another server has taken the target's place. Failure counts stay:
    /// counters do not fall.
    pub fn reset(&mut self) {
        self.last_success = None;
        self.last_attempt = None;
    }

    /// The last value, if it was read less than `stale_after` ago.
    pub fn fresh(&self, now: Instant, stale_after: Duration) -> Option<&T> {
        let (read_at, value) = self.last_success.as_ref()?;
        (now.saturating_duration_since(*read_at) < stale_after).then_some(value)
    }

    /// The last value, fresh or not.
    pub fn value(&self) -> Option<&T> {
        self.last_success.as_ref().map(|(_, value)| value)
    }

    /// Time since the last successful scrape.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let (read_at, _) = self.last_success.as_ref()?;
        Some(now.saturating_duration_since(*read_at))
    }

    /// The last attempt.
    pub fn last_attempt(&self) -> Option<LastAttempt> {
        self.last_attempt
    }

    /// Failures by reason, without reasons that never occurred.
    pub fn failures(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL
            .into_iter()
            .zip(self.failures)
            .filter(|(_, count)| *count > 0)
    }
}
