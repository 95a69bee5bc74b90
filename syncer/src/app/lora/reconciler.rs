//! The reconcile loop, the one writer of the [`LoraState`]: polls the model server, starts the planned actions, and records
//! their outcomes.
//!
//! Polls do not overlap. Actions do, up to a limit, and a poll does not wait for them: a load that takes a minute delays
//! neither another adapter nor a changed configuration.

mod operations;

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use operations::{Completed, Event, Operations};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use super::config_file::ConfigFileError;
use super::model_server::{Client, ModelServer};
use super::poll_schedule::{Intervals, PollSchedule};
use super::status_log::StatusLog;
use crate::error_chain;
use crate::lora::config::{Config, Parsed};
use crate::lora::observed::Observed;
use crate::lora::state::LoraState;

/// How long shutdown waits for operations in flight.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Keeps a server as configured.
pub(super) struct Reconciler {
    state: LoraState,
    snapshots: watch::Sender<LoraState>,
    client: Client,
    /// The configuration's server.
    server: Option<ModelServer>,
    /// The poll in flight.
    poll: JoinSet<Observed>,
    operations: Operations,
    log: StatusLog,
}

/// What [`Reconciler::step`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    PollCompleted,
    ActionStarted,
    ActionCompleted,
}

// === impl Reconciler ===

impl Reconciler {
    pub(super) fn new(client: Client, concurrency: usize, snapshots: watch::Sender<LoraState>) -> Self {
        Self {
            state: LoraState::default(),
            snapshots,
            client,
            server: None,
            poll: JoinSet::new(),
            operations: Operations::new(concurrency),
            log: StatusLog::default(),
        }
    }

    pub(super) fn with_config(mut self, parsed: Parsed) -> Self {
        self.config_accepted(parsed);
        self
    }

    pub(super) fn state(&self) -> &LoraState {
        &self.state
    }

    /// Reconciles until `shutdown`. `updates` has the content of the configuration file at the start and after each change.
    ///
    /// # Errors
    /// The file has no valid configuration within the startup timeout.
    pub(super) async fn run(
        mut self,
        mut updates: mpsc::Receiver<Result<Parsed, ConfigFileError>>,
        intervals: Intervals,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ConfigFileError> {
        let mut shutdown = pin!(shutdown);
        let deadline = Instant::now() + intervals.startup_timeout;
        let mut invalid = None;
        let mut schedule = PollSchedule::new(intervals);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(update) = updates.recv() => match update {
                    Ok(parsed) => if self.config_accepted(parsed) {
                        schedule.config_changed();
                    },
                    Err(error) => {
                        self.config_rejected(&error);
                        invalid = Some(error);
                    }
                },
                Some(error) = async {
                    sleep_until(deadline).await;
                    invalid.take()
                }, if self.server.is_none() && invalid.is_some() => return Err(error),
                () = sleep_until(schedule.next()), if self.server.is_some() && self.poll.is_empty() => {
                    schedule.poll_started();
                    self.start_poll();
                }
                step = self.step() => match step {
                    Step::PollCompleted => schedule.poll_completed(&self.state),
                    Step::ActionCompleted => schedule.request_completed(),
                    Step::ActionStarted => {}
                },
            }
        }
        self.shut_down().await;
        Ok(())
    }

    /// Polls the server once.
    pub(super) async fn poll_once(&mut self) {
        self.start_poll();
        while !self.poll.is_empty() {
            self.step().await;
        }
    }

    /// Carries out the plan of the last poll.
    pub(super) async fn carry_out_plan(&mut self) {
        while !self.operations.is_idle() || !self.poll.is_empty() {
            self.step().await;
        }
    }

    /// Returns whether the configuration differs from the one in effect.
    fn config_accepted(&mut self, Parsed { config, warnings }: Parsed) -> bool {
        for warning in &warnings {
            warn!("configuration warning: {warning}");
        }
        let Config {
            server,
            name,
            desired,
            excluded,
            conflicts,
        } = &config;
        info!(
            name = name.as_deref(),
            "configuration read: model server {server}, adapters: {} to load, {} to unload, {} in both lists",
            desired.len(),
            excluded.len(),
            conflicts.len(),
        );
        let current = self.state.config().cloned();
        if current.as_ref().is_none_or(|current| current.server != *server) {
            self.server = Some(self.client.server(server.clone()));
            self.poll = JoinSet::new();
            self.operations.abort();
        }
        let changed = current.is_none_or(|current| *current != config);
        if changed {
            self.operations.plan(Vec::new());
        }
        self.state.config_accepted(config);
        self.publish();
        changed
    }

    fn config_rejected(&mut self, error: &ConfigFileError) {
        for line in error_chain(error).lines() {
            error!("{line}");
        }
        let consequence = match self.state.config() {
            Some(_) => "the last valid configuration stays in effect",
            None => "waiting for a valid configuration",
        };
        warn!("configuration rejected; {consequence}");
        self.state.config_rejected();
        self.publish();
    }

    fn start_poll(&mut self) {
        if let (Some(server), true) = (&self.server, self.poll.is_empty()) {
            let server = server.clone();
            self.poll.spawn(async move { server.poll().await });
        }
    }

    /// Waits for the next event and handles it. Cancel safe.
    async fn step(&mut self) -> Step {
        // The list of a poll may be older than a response that arrives meanwhile, so the response waits.
        let completions = self.poll.is_empty();
        tokio::select! {
            Some(observed) = self.poll.join_next() => {
                self.poll_completed(observed);
                Step::PollCompleted
            }
            event = self.operations.next_event(completions) => match event {
                Event::MayStart => {
                    self.start_action();
                    Step::ActionStarted
                }
                Event::Completed(completed) => {
                    self.action_completed(completed);
                    Step::ActionCompleted
                }
            }
        }
    }

    fn poll_completed(&mut self, observed: Result<Observed, JoinError>) {
        let Ok(observed) = observed.inspect_err(log_panic) else {
            return;
        };
        self.state.polled(observed, now(), fastrand::f64());
        if let Ok(at) = wall_clock().duration_since(UNIX_EPOCH) {
            self.state.polled_at(at);
        }
        self.operations.plan(self.state.plan(now()));
        self.publish();
    }

    fn start_action(&mut self) {
        let Some(server) = self.server.clone() else { return };
        if let Some(action) = self.operations.start_next(server) {
            self.state.action_started(&action);
            self.publish();
        }
    }

    fn action_completed(&mut self, completed: Result<Completed, JoinError>) {
        let Ok((action, outcomes)) = completed.inspect_err(log_panic) else {
            return;
        };
        for (operation, outcome) in &outcomes {
            self.state
                .request_completed(&action, *operation, outcome, now(), fastrand::f64());
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.log.update(&self.state);
        self.snapshots.send_replace(self.state.clone());
    }

    async fn shut_down(mut self) {
        self.operations.plan(Vec::new());
        self.poll = JoinSet::new();
        if timeout(SHUTDOWN_GRACE, self.carry_out_plan()).await.is_err() {
            let count = self.operations.in_flight();
            warn!("shutting down with {count} load or unload operations in flight; the next start polls their results");
        }
    }
}

/// By the runtime's clock, which tests can pause.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// For a metric that is compared with other clocks.
#[allow(
    clippy::disallowed_methods,
    reason = "disallowed for the filter, which has no clock; this is native"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn log_panic(error: &JoinError) {
    error!("internal error: {error}");
}
