//! When the server is asked: each few seconds, more often while it is not well yet, and soon after it has done something.

use std::time::Duration;

use tokio::time::Instant;
use tracing::error;

use crate::lora::state::LoraState;

/// After an answer, how soon the server is asked what it really holds: so long that answers that come together are one
/// question.
const CONFIRM_AFTER: Duration = Duration::from_millis(100);

/// When to ask the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How often, while it can be asked.
    pub well: Duration,
    /// How often, while it can't.
    pub unwell: Duration,
    /// For how long it is asked that often. The same goes for a first configuration.
    pub patience: Duration,
}

/// When the server was asked, and when it is to be asked again.
pub(super) struct Asked {
    pace: Pace,
    at: Instant,
    pub due: Instant,
    /// Since when it can't be asked.
    failing: Option<Instant>,
    /// Whether patience has ended.
    given_up: bool,
}

// === impl Asked ===

impl Asked {
    pub(super) fn new(pace: Pace) -> Self {
        let now = Instant::now();
        Self {
            pace,
            at: now,
            due: now,
            failing: None,
            given_up: false,
        }
    }

    /// At once, and as if it had never failed: it is told of another configuration.
    pub(super) fn soon(&mut self) {
        self.due = Instant::now();
        self.failing = None;
        self.given_up = false;
    }

    /// It may hold something else than it said.
    pub(super) fn again(&mut self) {
        self.due = self.due.min(Instant::now() + CONFIRM_AFTER);
    }

    /// It is being asked.
    pub(super) fn now(&mut self) {
        self.at = Instant::now();
        self.due = self.at + self.pace.well;
    }

    /// It was asked.
    pub(super) fn answered(&mut self, board: &LoraState) {
        if !matches!(board.server(), Some(Err(_))) {
            (self.failing, self.given_up) = (None, false);
            return;
        }
        let Pace { unwell, well, patience } = self.pace;
        let since = *self.failing.get_or_insert(self.at);
        if since.elapsed() < patience {
            self.due = self.at + unwell;
            return;
        }
        self.due = self.at + well.max(unwell);
        if !std::mem::replace(&mut self.given_up, true) {
            let patience = humantime::format_duration(patience);
            error!(%patience, "the server could not be asked for so long; it is asked on");
        }
    }
}
