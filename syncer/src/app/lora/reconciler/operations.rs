//! A server's planned actions and those in flight: a queue that starts them in order, up to a limit at a time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::super::model_server::ModelServer;
use crate::lora::action::Action;
use crate::lora::api::LoraApi;
use crate::lora::request::Operation;
use crate::lora::response::Outcome;

/// From the start of an action to that of the next. A quick response arrives within it, so that the server sees the order
/// of the file; a slow one delays the others no longer.
const HEAD_START: Duration = Duration::from_millis(50);

/// An action and the outcomes of its requests.
pub(super) type Completed = (Action, Vec<(Operation, Outcome)>);

pub(super) enum OperationEvent {
    /// [`Operations::start_next`] may be called.
    MayStart,
    Completed(Result<Completed, JoinError>),
}

pub(super) struct Operations {
    /// Actions at a time.
    concurrency: usize,
    planned: VecDeque<Action>,
    in_flight: JoinSet<Completed>,
    next_start: Instant,
}

// === impl Operations ===

impl Operations {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            planned: VecDeque::new(),
            in_flight: JoinSet::new(),
            next_start: Instant::now(),
        }
    }

    /// Replaces what is planned.
    pub(super) fn plan(&mut self, actions: Vec<Action>) {
        self.planned = actions.into();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.planned.is_empty() && self.in_flight.is_empty()
    }

    /// Waits until an action may start or has completed; for the latter only with `completions`. Cancel safe.
    pub(super) async fn next_event(&mut self, completions: bool) -> OperationEvent {
        let may_start = !self.planned.is_empty() && self.in_flight.len() < self.concurrency;
        tokio::select! {
            Some(completed) = self.in_flight.join_next(), if completions => {
                self.next_start = Instant::now();
                OperationEvent::Completed(completed)
            }
            () = sleep_until(self.next_start), if may_start => OperationEvent::MayStart,
            else => std::future::pending().await,
        }
    }

    /// Starts the next planned action and returns it.
    pub(super) fn start_next(&mut self, server: &ModelServer, api: LoraApi) -> Option<Action> {
        let action = self.planned.pop_front()?;
        self.next_start = Instant::now() + HEAD_START;
        self.in_flight.spawn(carry_out(action.clone(), server.clone(), api));
        Some(action)
    }
}

async fn carry_out(action: Action, server: ModelServer, api: LoraApi) -> Completed {
    let mut outcomes = Vec::new();
    while let Some(request) = action.next_request(api, &outcomes) {
        let operation = request.operation;
        let outcome = Outcome::of(api, operation, &server.send(request).await);
        outcomes.push((operation, outcome));
    }
    (action, outcomes)
}
