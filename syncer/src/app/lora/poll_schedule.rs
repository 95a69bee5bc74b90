//! When to poll a model server: every few seconds, more often while it is not reachable yet, and soon after an operation.

use std::time::Duration;

use http::Uri;
use tokio::time::Instant;
use tracing::error;

use crate::lora::response::RequestError;

/// From a response to the poll that confirms it. Long enough that responses in quick succession share one poll.
const CONFIRM_AFTER: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// Between polls of a reachable server.
    pub reachable: Duration,
    /// Between polls of an unreachable server, until `startup_timeout`.
    pub unreachable: Duration,
    /// How long a server, or a valid configuration, is waited for.
    pub startup_timeout: Duration,
}

pub(super) struct PollSchedule {
    intervals: Intervals,
    last: Instant,
    next: Instant,
    failing_since: Option<Instant>,
    /// Whether the server has been unreachable for `startup_timeout`, and the log says so.
    timed_out: bool,
}

// === impl PollSchedule ===

impl PollSchedule {
    /// The first poll is due now.
    pub(super) fn new(intervals: Intervals) -> Self {
        let now = Instant::now();
        Self {
            intervals,
            last: now,
            next: now,
            failing_since: None,
            timed_out: false,
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// The configuration has changed. Past failures may concern another server.
    pub(super) fn config_changed(&mut self) {
        self.next = Instant::now();
        self.failing_since = None;
        self.timed_out = false;
    }

    /// A request has completed, so the server may have other models than it last reported.
    pub(super) fn request_completed(&mut self) {
        self.next = self.next.min(Instant::now() + CONFIRM_AFTER);
    }

    pub(super) fn poll_started(&mut self) {
        self.last = Instant::now();
        self.next = self.last + self.intervals.reachable;
    }

    pub(super) fn poll_completed(&mut self, server: &Uri, result: Result<(), &RequestError>) {
        if result.is_ok() {
            (self.failing_since, self.timed_out) = (None, false);
            return;
        }
        let Intervals {
            reachable,
            unreachable,
            startup_timeout,
        } = self.intervals;
        let since = *self.failing_since.get_or_insert(self.last);
        if since.elapsed() < startup_timeout {
            self.next = self.last + unreachable;
            return;
        }
        let interval = reachable.max(unreachable);
        self.next = self.last + interval;
        if !std::mem::replace(&mut self.timed_out, true) {
            error!(
                "model server {server}: unreachable for {}; still polling every {}",
                humantime::format_duration(startup_timeout),
                humantime::format_duration(interval),
            );
        }
    }
}
