//! The reconcile loop, the one writer of the [`LoraState`]: polls the model servers, starts the planned actions, and
//! records their outcomes.
//!
//! Polls of a server do not overlap. Actions do, up to a limit, and a poll does not wait for them: a load that takes a
//! minute delays neither another adapter nor a changed configuration, and a slow server delays no other.

mod operations;
mod server_tasks;

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::select_all;
use http::Uri;
use operations::Completed;
use server_tasks::{Await, ServerEvent, ServerTasks};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use super::config_file::ConfigFileError;
use super::model_server::Client;
use super::poll_schedule::Intervals;
use super::status_log::StatusLog;
use crate::error_chain;
use crate::lora::api::LoraApi;
use crate::lora::config::{Config, Parsed};
use crate::lora::observed::Observed;
use crate::lora::state::LoraState;

/// How long shutdown waits for operations in flight.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// How servers are kept as configured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Of every server; none to detect it.
    pub api: Option<LoraApi>,
    /// Actions at a time, for each server.
    pub concurrency: usize,
    pub intervals: Intervals,
}

/// Keeps servers as configured.
pub(super) struct Reconciler {
    state: LoraState,
    snapshots: watch::Sender<LoraState>,
    client: Client,
    settings: Settings,
    /// One for each server of the configuration, in its order.
    servers: Vec<ServerTasks>,
    log: StatusLog,
}

// === impl Reconciler ===

impl Reconciler {
    pub(super) fn new(client: Client, settings: Settings, snapshots: watch::Sender<LoraState>) -> Self {
        Self {
            state: LoraState::new(settings.api),
            snapshots,
            client,
            settings,
            servers: Vec::new(),
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
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ConfigFileError> {
        let mut shutdown = pin!(shutdown);
        let deadline = Instant::now() + self.settings.intervals.startup_timeout;
        let mut invalid = None;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(update) = updates.recv() => match update {
                    Ok(parsed) => if self.config_accepted(parsed) {
                        for server in &mut self.servers {
                            server.schedule.config_changed();
                        }
                    },
                    Err(error) => {
                        self.config_rejected(&error);
                        invalid = Some(error);
                    }
                },
                Some(error) = async {
                    sleep_until(deadline).await;
                    invalid.take()
                }, if self.servers.is_empty() && invalid.is_some() => return Err(error),
                (server, event) = self.next_event(Await::Everything) => self.handle(&server, event),
            }
        }
        self.shut_down().await;
        Ok(())
    }

    /// Polls each server once. Starts no action.
    pub(super) async fn poll_once(&mut self) {
        for server in &mut self.servers {
            server.start_poll();
        }
        while self.servers.iter().any(ServerTasks::is_polling) {
            let (server, event) = self.next_event(Await::Polls).await;
            self.handle(&server, event);
        }
    }

    /// Carries out the plans of the last polls.
    pub(super) async fn carry_out_plans(&mut self) {
        while !self.servers.iter().all(ServerTasks::is_idle) {
            let (server, event) = self.next_event(Await::Actions).await;
            self.handle(&server, event);
        }
    }

    /// Returns whether the configuration differs from the one in effect.
    fn config_accepted(&mut self, Parsed { config, warnings }: Parsed) -> bool {
        for warning in &warnings {
            warn!("configuration warning: {warning}");
        }
        let Config {
            servers,
            name,
            desired,
            excluded,
            conflicts,
        } = &config;
        info!(
            name = name.as_deref(),
            "configuration read: model server {}, adapters: {} to load, {} to unload, {} in both lists",
            addresses(servers),
            desired.len(),
            excluded.len(),
            conflicts.len(),
        );
        let changed = self.state.config().is_none_or(|current| **current != config);
        if changed {
            // What runs for a server that is gone is aborted.
            let mut before = std::mem::take(&mut self.servers);
            for address in servers {
                let kept = before.iter().position(|server| server.address == *address);
                let mut server = kept.map_or_else(|| self.tasks(address), |index| before.swap_remove(index));
                server.operations.plan(Vec::new());
                self.servers.push(server);
            }
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

    fn tasks(&self, address: &Uri) -> ServerTasks {
        let Settings {
            api: _,
            concurrency,
            intervals,
        } = self.settings;
        let server = self.client.server(address.clone());
        ServerTasks::new(address.clone(), server, concurrency, intervals)
    }

    /// Waits for the next event of any server. Cancel safe.
    async fn next_event(&mut self, awaited: Await) -> (Uri, ServerEvent) {
        let events = self.servers.iter_mut().map(|server| {
            Box::pin(async move {
                let event = server.next_event(awaited).await;
                (server.address.clone(), event)
            })
        });
        let events: Vec<_> = events.collect();
        if events.is_empty() {
            // select_all panics without futures.
            return std::future::pending().await;
        }
        select_all(events).await.0
    }

    fn handle(&mut self, server: &Uri, event: ServerEvent) {
        match event {
            ServerEvent::PollDue => {
                if let Some(tasks) = self.tasks_of(server) {
                    tasks.start_poll();
                }
            }
            ServerEvent::Polled(observed) => self.polled(server, observed),
            ServerEvent::MayStart => {
                let api = self.state.api(server);
                let action = self
                    .tasks_of(server)
                    .and_then(|tasks| tasks.operations.start_next(&tasks.server, api));
                if let Some(action) = action {
                    self.state.action_started(server, &action);
                    self.publish();
                }
            }
            ServerEvent::Completed(completed) => {
                self.action_completed(server, completed);
                if let Some(tasks) = self.tasks_of(server) {
                    tasks.schedule.request_completed();
                }
            }
        }
    }

    fn polled(&mut self, server: &Uri, observed: Result<Observed, JoinError>) {
        let Ok(observed) = observed.inspect_err(log_panic) else {
            return;
        };
        self.state.polled(server, observed, now(), fastrand::f64());
        if let Ok(at) = wall_clock().duration_since(UNIX_EPOCH) {
            self.state.polled_at(at);
        }
        let plan = self.state.plan(server, now());
        let Self { state, servers, .. } = self;
        if let Some(tasks) = servers.iter_mut().find(|tasks| tasks.address == *server)
            && let Some(result) = state.last_poll(server)
        {
            tasks.operations.plan(plan);
            tasks.schedule.poll_completed(server, result);
        }
        self.publish();
    }

    fn action_completed(&mut self, server: &Uri, completed: Result<Completed, JoinError>) {
        let Ok((action, outcomes)) = completed.inspect_err(log_panic) else {
            return;
        };
        self.state
            .action_completed(server, &action, &outcomes, now(), fastrand::f64());
        self.publish();
    }

    fn tasks_of(&mut self, server: &Uri) -> Option<&mut ServerTasks> {
        self.servers.iter_mut().find(|tasks| tasks.address == *server)
    }

    fn publish(&mut self) {
        self.log.update(&self.state);
        self.snapshots.send_replace(self.state.clone());
    }

    async fn shut_down(mut self) {
        for server in &mut self.servers {
            server.operations.plan(Vec::new());
            server.abort_poll();
        }
        if timeout(SHUTDOWN_GRACE, self.carry_out_plans()).await.is_err() {
            let count: usize = self.servers.iter().map(|server| server.operations.in_flight()).sum();
            warn!("shutting down with {count} load or unload operations in flight; the next start polls their results");
        }
    }
}

/// As in `http://localhost:8000/, http://localhost:8001/`.
pub(super) fn addresses(servers: &[Uri]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
