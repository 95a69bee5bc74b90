//! The role's state: events in, planned actions and adapter statuses out.
//!
//! One task writes a [`LoraState`]; readers get clones. A pass over a server is `polled`, `plan`, and `action_started` for
//! each action that starts. Each becomes `action_completed`, in the same pass or a later one; an action in flight is not
//! planned again. A success that the server reports counts once its list of models confirms it. An action that completes
//! during a poll is recorded after the poll, because the list may be older than the response.
//!
//! Servers are independent: nothing that one of them does or fails to do changes the plan for another.

mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;

use super::action::Action;
use super::api::LoraApi;
use super::config::Config;
use super::observed::Observed;
use super::request::Operation;
use super::response::{Outcome, RequestError};
pub(super) use server::{ServerState, ServerStatus};

/// Configuration, the state of each server, and counts. [`super::status`] derives statuses and metrics.
#[derive(Clone, Debug, Default)]
pub struct LoraState {
    /// The last valid configuration.
    pub(super) config: Option<Arc<Config>>,
    /// Whether the file was valid when last read.
    pub(super) config_valid: Option<bool>,
    /// In the order of the configuration.
    pub(super) servers: Vec<ServerState>,
    /// Completed requests by operation and result.
    pub(super) operations: BTreeMap<(Operation, &'static str), u64>,
    /// Since the Unix epoch.
    pub(super) last_success: Option<Duration>,
    /// Of every server, if it is configured and not detected.
    api: Option<LoraApi>,
}

// === impl LoraState ===

impl LoraState {
    /// The state before the first configuration. `api` is that of every server; none to detect it.
    pub fn new(api: Option<LoraApi>) -> Self {
        Self { api, ..Self::default() }
    }

    /// A valid configuration was read. Servers that it keeps keep their state.
    pub fn config_accepted(&mut self, config: Config) {
        self.config_valid = Some(true);
        if self.config.as_deref() == Some(&config) {
            return;
        }
        let mut before = std::mem::take(&mut self.servers);
        for address in &config.servers {
            let server = match before.iter().position(|server| server.address == *address) {
                Some(index) => {
                    let mut server = before.swap_remove(index);
                    server.history.config_changed(&config);
                    server
                }
                None => ServerState::new(address.clone()),
            };
            self.servers.push(server);
        }
        self.config = Some(Arc::new(config));
    }

    /// An unreadable or invalid configuration was read. The last valid one stays in effect.
    pub fn config_rejected(&mut self) {
        self.config_valid = Some(false);
    }

    /// The last valid configuration.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// Each server and the result of its last poll, which is none before the first one.
    pub fn polls(&self) -> impl Iterator<Item = (&Uri, Option<Result<(), &RequestError>>)> {
        self.servers.iter().map(|server| (&server.address, server.last_poll()))
    }

    /// The result of the last poll of a server. None before the first one.
    pub fn last_poll(&self, server: &Uri) -> Option<Result<(), &RequestError>> {
        self.server(server)?.last_poll()
    }

    /// The API of a server: as configured, else as detected, else vLLM's.
    pub fn api(&self, server: &Uri) -> LoraApi {
        let detected = || self.server(server)?.detected_api();
        self.api.or_else(detected).unwrap_or_default()
    }

    /// A poll of a server has completed. `jitter`, from 0 to 1, spreads retries.
    pub fn polled(&mut self, server: &Uri, observed: Observed, now: Instant, jitter: f64) {
        let Some(config) = self.config.clone() else { return };
        if let Some(server) = self.server_mut(server) {
            server.polled(&config, observed, now, jitter);
        }
    }

    /// The wall-clock time of the last poll, since the Unix epoch.
    pub fn polled_at(&mut self, at: Duration) {
        if self.ready().is_ok() {
            self.last_success = Some(at);
        }
    }

    /// Actions for a server that are due and not in flight. None while its models are unknown.
    pub fn plan(&self, server: &Uri, now: Instant) -> Vec<Action> {
        match (&self.config, self.server(server)) {
            (Some(config), Some(state)) => state.plan(config, self.api(server), now),
            _ => Vec::new(),
        }
    }

    /// The first request of an action is being sent.
    pub fn action_started(&mut self, server: &Uri, action: &Action) {
        if let Some(server) = self.server_mut(server) {
            server.in_flight.insert(Arc::clone(action.id()), action.clone());
            server.history.started(action);
        }
    }

    /// An action is complete; its requests have these outcomes. `jitter`, from 0 to 1, spreads retries.
    pub fn action_completed(
        &mut self,
        server: &Uri,
        action: &Action,
        outcomes: &[(Operation, Outcome)],
        now: Instant,
        jitter: f64,
    ) {
        for (operation, outcome) in outcomes {
            *self.operations.entry((*operation, outcome.result())).or_default() += 1;
        }
        if let Some(server) = self.server_mut(server) {
            server.in_flight.remove(action.id());
            server.history.completed(action, outcomes, now, jitter);
        }
    }

    fn server(&self, address: &Uri) -> Option<&ServerState> {
        self.servers.iter().find(|server| server.address == *address)
    }

    fn server_mut(&mut self, address: &Uri) -> Option<&mut ServerState> {
        self.servers.iter_mut().find(|server| server.address == *address)
    }
}
