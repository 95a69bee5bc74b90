//! The state of one server: what it reports, what past operations have shown, and what is in flight.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use http::Uri;

use super::super::Reason;
use super::super::action::Action;
use super::super::api::LoraApi;
use super::super::config::{AdapterSpec, Config};
use super::super::history::History;
use super::super::observed::{Models, Observed};
use super::super::plan;
use super::super::request::Operation;
use super::super::response::RequestError;
use super::super::retry::Retry;

#[derive(Clone, Debug)]
pub(in super::super) struct ServerState {
    pub address: Uri,
    pub observed: Option<Observed>,
    pub history: History,
    /// By adapter id.
    pub in_flight: HashMap<Arc<str>, Action>,
}

/// The status of an adapter on one server.
#[derive(Clone, Debug)]
pub(in super::super) struct ServerStatus {
    /// Whether the server is known to have it loaded, from whatever source.
    pub loaded: bool,
    pub reason: Reason,
    pub message: Option<String>,
    pub retry: Option<Retry>,
}

// === impl ServerState ===

impl ServerState {
    pub fn new(address: Uri) -> Self {
        Self {
            address,
            observed: None,
            history: History::default(),
            in_flight: HashMap::new(),
        }
    }

    pub fn last_poll(&self) -> Option<Result<(), &RequestError>> {
        self.observed.as_ref().map(|observed| match observed {
            Observed::Known(_) => Ok(()),
            Observed::Unknown(error) => Err(error),
        })
    }

    pub fn detected_api(&self) -> Option<LoraApi> {
        match &self.observed {
            Some(Observed::Known(models)) => models.api,
            _ => None,
        }
    }

    pub fn polled(&mut self, config: &Config, observed: Observed, now: Instant, jitter: f64) {
        match &observed {
            Observed::Known(models) => self.history.models_listed(config, models, now, jitter),
            Observed::Unknown(_) => self.history.poll_failed(),
        }
        self.observed = Some(observed);
    }

    pub fn plan(&self, config: &Config, api: LoraApi, now: Instant) -> Vec<Action> {
        let Some(Observed::Known(models)) = &self.observed else {
            return Vec::new();
        };
        let mut actions = plan::plan(config, models, api, &self.history, now);
        actions.retain(|action| !self.in_flight.contains_key(action.id()));
        actions
    }

    pub fn desired(&self, spec: &AdapterSpec) -> ServerStatus {
        // Of list and response, the less favourable counts: an adapter that should be loaded is not once its unload
        // succeeds.
        let unloaded = self.history.unconfirmed(&spec.id) == Some(Operation::Unload);
        self.status(
            |models| models.adapters.contains_key(&spec.id) && !unloaded,
            |models, loaded| {
                // Not before the list has confirmed it, with the root that is remembered.
                if loaded && !self.awaits_confirmation(&spec.id) && self.history.is_current(spec, models) {
                    ServerStatus::new(Reason::Loaded)
                } else if !loaded && models.base.contains(&spec.id) {
                    ServerStatus::of_base_model(Reason::LoadRejected)
                } else if self.is_loading(&spec.id) {
                    ServerStatus::new(Reason::Loading)
                } else {
                    self.failure(&spec.id).unwrap_or(ServerStatus::new(Reason::Pending))
                }
            },
        )
    }

    pub fn excluded(&self, id: &str) -> ServerStatus {
        self.status(
            |models| models.adapters.contains_key(id),
            |models, loaded| {
                let excluded = ServerStatus::new(Reason::Excluded);
                if models.base.contains(id) {
                    ServerStatus::of_base_model(Reason::UnloadFailed)
                } else if loaded {
                    self.failure(id).unwrap_or(excluded)
                } else {
                    excluded
                }
            },
        )
    }

    pub fn conflict(&self, id: &str) -> ServerStatus {
        self.status(
            |models| models.adapters.contains_key(id),
            |_, _| ServerStatus::new(Reason::Conflict),
        )
    }

    fn status(
        &self,
        is_loaded: impl Fn(&Models) -> bool,
        status: impl Fn(&Models, bool) -> ServerStatus,
    ) -> ServerStatus {
        match &self.observed {
            Some(Observed::Known(models)) => {
                let loaded = is_loaded(models);
                ServerStatus {
                    loaded,
                    ..status(models, loaded)
                }
            }
            Some(Observed::Unknown(RequestError { reason, message })) => ServerStatus {
                message: Some(message.clone()),
                ..ServerStatus::new(*reason)
            },
            None => ServerStatus::new(Reason::Pending),
        }
    }

    /// Whether a load from the configured source is in flight, or awaits confirmation.
    fn is_loading(&self, id: &str) -> bool {
        self.in_flight.get(id).is_some_and(Action::loads_configured) || self.awaits_confirmation(id)
    }

    fn awaits_confirmation(&self, id: &str) -> bool {
        matches!(self.history.unconfirmed(id), Some(Operation::Load | Operation::Reload))
    }

    fn failure(&self, id: &str) -> Option<ServerStatus> {
        let retry = self.history.retry(id)?;
        let RequestError { reason, message } = &retry.error;
        let message = match self.history.restore_retry(id) {
            Some(restore) => format!(
                "{message}; the previous source cannot be loaded again: {}",
                restore.error
            ),
            None => message.clone(),
        };
        Some(ServerStatus {
            message: Some(message),
            retry: Some(retry.clone()),
            ..ServerStatus::new(*reason)
        })
    }
}

// === impl ServerStatus ===

impl ServerStatus {
    fn new(reason: Reason) -> Self {
        Self {
            loaded: false,
            reason,
            message: None,
            retry: None,
        }
    }

    fn of_base_model(reason: Reason) -> Self {
        Self {
            message: Some("a base model of the server has this id".to_owned()),
            ..Self::new(reason)
        }
    }
}
