//! What runs for one server: its poll, its actions, and the schedule of its polls. Servers do not wait for each other.

use http::Uri;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use super::super::model_server::ModelServer;
use super::super::poll_schedule::{Intervals, PollSchedule};
use super::operations::{Completed, OperationEvent, Operations};
use crate::lora::observed::Observed;

pub(super) struct ServerTasks {
    pub address: Uri,
    pub server: ModelServer,
    pub operations: Operations,
    pub schedule: PollSchedule,
    /// The poll in flight.
    poll: JoinSet<Observed>,
}

/// Which events are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Await {
    /// The results of polls in flight; nothing starts meanwhile.
    Polls,
    /// These, and what actions do.
    Actions,
    /// All of these, and polls that are due.
    Everything,
}

pub(super) enum ServerEvent {
    PollDue,
    Polled(Result<Observed, JoinError>),
    /// A planned action may start.
    MayStart,
    Completed(Result<Completed, JoinError>),
}

// === impl ServerTasks ===

impl ServerTasks {
    pub fn new(address: Uri, server: ModelServer, concurrency: usize, intervals: Intervals) -> Self {
        Self {
            address,
            server,
            operations: Operations::new(concurrency),
            schedule: PollSchedule::new(intervals),
            poll: JoinSet::new(),
        }
    }

    /// Unless a poll is in flight.
    pub fn start_poll(&mut self) {
        if self.poll.is_empty() {
            self.schedule.poll_started();
            let server = self.server.clone();
            self.poll.spawn(async move { server.poll().await });
        }
    }

    pub fn abort_poll(&mut self) {
        self.poll = JoinSet::new();
    }

    pub fn is_polling(&self) -> bool {
        !self.poll.is_empty()
    }

    pub fn is_idle(&self) -> bool {
        self.operations.is_idle() && self.poll.is_empty()
    }

    /// Waits for the next event. Cancel safe.
    pub async fn next_event(&mut self, awaited: Await) -> ServerEvent {
        // The list of a poll may be older than a response that arrives meanwhile, so the response waits.
        let completions = self.poll.is_empty();
        tokio::select! {
            Some(observed) = self.poll.join_next() => ServerEvent::Polled(observed),
            () = sleep_until(self.schedule.next()), if awaited == Await::Everything && completions => ServerEvent::PollDue,
            event = self.operations.next_event(completions), if awaited != Await::Polls => match event {
                OperationEvent::MayStart => ServerEvent::MayStart,
                OperationEvent::Completed(completed) => ServerEvent::Completed(completed),
            },
            else => std::future::pending().await,
        }
    }
}
