//! What a connection is doing, and when it has to end. Owns no socket: the connection waits for [`Activity::end`]
//! beside its work.
//!
//! A connection is idle while it has no exchange under way; so it is before its first request, in the handshake too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::limits::Limits;

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// As it says.
    #[error("no request came in time")]
    Idle,
    /// As it says.
    #[error("an answer was not read in time")]
    Overdue,
    /// As it says.
    #[error("another connection needs the room")]
    Evicted,
    /// As it says.
    #[error("the server shuts down")]
    Shutdown,
}

/// A connection's clock.
#[derive(Debug)]
pub struct Activity {
    limits: Limits,
    state: Mutex<State>,
    /// Wakes the connection, which waits for its end.
    changed: Notify,
    /// Wakes whoever waits for a connection to become idle.
    became_idle: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// The exchanges under way, oldest first: at most [`super::limits::STREAMS`].
    under_way: Vec<(u64, Instant)>,
    /// The number of the next exchange.
    next: u64,
    /// When the last exchange ended; before the first one, when the connection began.
    idle_since: Instant,
    told: Option<End>,
}

/// An exchange under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Exchange {
    activity: Arc<Activity>,
    number: u64,
}

// === impl Activity ===

impl Activity {
    /// A connection that begins now.
    pub fn new(limits: Limits, became_idle: Arc<Notify>) -> Self {
        let state = State {
            under_way: Vec::new(),
            next: 0,
            idle_since: Instant::now(),
            told: None,
        };
        Self {
            limits,
            state: Mutex::new(state),
            changed: Notify::new(),
            became_idle,
        }
    }

    /// A request's head is read: an exchange begins.
    pub fn begin(self: &Arc<Self>) -> Exchange {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.under_way.push((number, Instant::now()));
        drop(state);
        self.changed.notify_one();
        Exchange {
            activity: Arc::clone(self),
            number,
        }
    }

    /// Since when the connection is idle; nothing if it isn't.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        state.under_way.is_empty().then_some(state.idle_since)
    }

    /// Whether the connection was told to end.
    pub fn is_told(&self) -> bool {
        self.state().told.is_some()
    }

    /// Tells the connection to end.
    pub fn tell(&self, end: End) {
        self.state().told = Some(end);
        self.changed.notify_one();
    }

    /// Waits until the connection has to end. One task may wait.
    pub async fn end(&self) -> End {
        loop {
            let (deadline, end) = match self.next_deadline() {
                Ok(next) => next,
                Err(told) => return told,
            };
            tokio::select! {
                () = sleep_until(deadline) => return end,
                () = self.changed.notified() => {}
            }
        }
    }

    fn next_deadline(&self) -> Result<(Instant, End), End> {
        let state = self.state();
        if let Some(told) = state.told {
            return Err(told);
        }
        Ok(match state.under_way.first() {
            Some((_, began)) => (*began + self.limits.answer, End::Overdue),
            None if state.next == 0 => (state.idle_since + self.limits.head, End::Idle),
            None => (state.idle_since + self.limits.idle, End::Idle),
        })
    }

    fn finish(&self, number: u64) {
        let mut state = self.state();
        state.under_way.retain(|(other, _)| *other != number);
        state.idle_since = Instant::now();
        drop(state);
        self.changed.notify_one();
        self.became_idle.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Exchange ===

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.finish(self.number);
    }
}

#[cfg(test)]
mod tests;
