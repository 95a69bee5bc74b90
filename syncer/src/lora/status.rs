//! The status of each configured adapter, derived from a [`LoraState`], and the metric families and the readiness that
//! follow from it.

use std::sync::Arc;

use super::Reason;
use super::config::AdapterSpec;
use super::metrics;
use super::observed::{Models, Observed};
use super::request::Operation;
use super::response::RequestError;
use super::retry::Retry;
use super::state::LoraState;
use crate::exposition::{Family, Value};

/// Adapters that the readiness error names; enough to know where to look.
const MAX_NAMED: usize = 3;

/// The status of a configured adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterStatus {
    /// The adapter's id.
    pub id: Arc<str>,
    /// Whether it should be loaded. None if it is in both lists.
    pub desired: Option<bool>,
    /// Whether the server is known to have it loaded, from whatever source.
    pub loaded: bool,
    /// Why it is so.
    pub reason: Reason,
    /// Details of `reason`, such as the server's error.
    pub message: Option<String>,
    /// The last failure and the time of the next attempt, if `reason` comes from a failed operation.
    pub retry: Option<Retry>,
    /// The configured source, if it should be loaded.
    pub source: Option<Arc<str>>,
}

/// The part of a status that depends on the server's models.
type Cause = (Reason, Option<String>, Option<Retry>);

// === impl LoraState ===

impl LoraState {
    /// The status of each configured adapter: `ensureExist`, then `ensureNotExist`, then those in both lists, each in the
    /// order of the file.
    pub fn statuses(&self) -> Vec<AdapterStatus> {
        let Some(config) = &self.config else { return Vec::new() };
        let desired = config.desired.iter().map(|spec| {
            let source = Some(Arc::clone(&spec.source));
            self.status(&spec.id, Some(true), source, |models| self.desired_cause(spec, models))
        });
        let excluded = config
            .excluded
            .iter()
            .map(|id| self.status(id, Some(false), None, |models| self.excluded_cause(id, models)));
        let conflicts = config
            .conflicts
            .iter()
            .map(|id| self.status(id, None, None, |_| (Reason::Conflict, None, None)));
        desired.chain(excluded).chain(conflicts).collect()
    }

    /// Whether the server is known to be as configured. The error says what is missing.
    pub fn ready(&self) -> Result<(), String> {
        match &self.observed {
            _ if self.config.is_none() => return Err("no valid configuration yet".to_owned()),
            None => return Err("model server not polled yet".to_owned()),
            Some(Observed::Unknown(error)) => return Err(format!("model server cannot be polled: {error}")),
            Some(Observed::Known(_)) => {}
        }
        let statuses = self.statuses();
        let unsettled: Vec<_> = statuses.iter().filter(|status| !status.is_settled()).collect();
        if unsettled.is_empty() {
            return Ok(());
        }
        let named = unsettled.iter().take(MAX_NAMED);
        let mut names: Vec<_> = named
            .map(|status| format!("{} ({})", status.id, status.reason.as_str()))
            .collect();
        if unsettled.len() > MAX_NAMED {
            names.push("…".to_owned());
        }
        Err(format!(
            "{} of {} adapters are not as configured: {}",
            unsettled.len(),
            statuses.len(),
            names.join(", ")
        ))
    }

    /// All families that have series, in the order of the metric table.
    pub fn families(&self) -> Vec<Family> {
        let statuses = self.statuses();
        let name = |status: &AdapterStatus| vec![("adapter_name", Arc::clone(&status.id))];
        let operations = self.operations.iter().map(|((operation, result), count)| {
            let labels = vec![
                ("operation", Arc::from(operation.as_str())),
                ("result", Arc::from(*result)),
            ];
            (labels, Value::Integer(*count))
        });
        let families = [
            metrics::STATUS.family(statuses.iter().map(|status| (name(status), flag(status.loaded)))),
            metrics::DESIRED.family(
                statuses
                    .iter()
                    .filter_map(|status| Some((name(status), flag(status.desired?)))),
            ),
            metrics::INFO.family(statuses.iter().map(|status| {
                let mut labels = name(status);
                labels.push(("reason", Arc::from(status.reason.as_str())));
                labels.push(("source", status.source.clone().unwrap_or_default()));
                (labels, flag(true))
            })),
            metrics::OPERATIONS.family(operations),
            metrics::LAST_SUCCESS.family(self.last_success.map(|at| (Vec::new(), Value::Float(at.as_secs_f64())))),
            metrics::CONFIG_VALID.family(self.config_valid.map(|valid| (Vec::new(), flag(valid)))),
        ];
        families
            .into_iter()
            .filter(|family| !family.series.is_empty())
            .collect()
    }

    fn status(
        &self,
        id: &Arc<str>,
        desired: Option<bool>,
        source: Option<Arc<str>>,
        cause: impl Fn(&Models) -> Cause,
    ) -> AdapterStatus {
        let (loaded, (reason, message, retry)) = match &self.observed {
            Some(Observed::Known(models)) => {
                // Report the less favourable of list and response: an adapter that should be loaded is not once its unload
                // succeeds, one that should not be is loaded until the list confirms that it is gone.
                let unloaded = desired == Some(true) && self.unload_unconfirmed(id);
                (models.adapters.contains_key(id) && !unloaded, cause(models))
            }
            Some(Observed::Unknown(RequestError { reason, message })) => {
                (false, (*reason, Some(message.clone()), None))
            }
            None => (false, (Reason::Pending, None, None)),
        };
        AdapterStatus {
            id: Arc::clone(id),
            desired,
            loaded,
            reason,
            message,
            retry,
            source,
        }
    }

    fn desired_cause(&self, spec: &AdapterSpec, models: &Models) -> Cause {
        let loaded = models.adapters.contains_key(&spec.id) && !self.unload_unconfirmed(&spec.id);
        if loaded && self.history.is_current(spec, models) {
            (Reason::Loaded, None, None)
        } else if !loaded && models.base.contains(&spec.id) {
            (Reason::LoadRejected, Some(is_base_model()), None)
        } else if self.is_loading(&spec.id) {
            (Reason::Loading, None, None)
        } else {
            self.failure(&spec.id).unwrap_or((Reason::Pending, None, None))
        }
    }

    fn excluded_cause(&self, id: &str, models: &Models) -> Cause {
        let excluded = (Reason::Excluded, None, None);
        if models.base.contains(id) {
            (Reason::UnloadFailed, Some(is_base_model()), None)
        } else if models.adapters.contains_key(id) {
            self.failure(id).unwrap_or(excluded)
        } else {
            excluded
        }
    }

    fn unload_unconfirmed(&self, id: &str) -> bool {
        self.history.unconfirmed(id) == Some(Operation::Unload)
    }

    fn is_loading(&self, id: &str) -> bool {
        let in_flight = self.in_flight.get(id).is_some_and(|action| action.spec().is_some());
        let unconfirmed = self.history.unconfirmed(id);
        in_flight || unconfirmed.is_some_and(|operation| operation != Operation::Unload)
    }

    fn failure(&self, id: &str) -> Option<Cause> {
        let retry = self.history.retry(id)?;
        let RequestError { reason, message } = &retry.error;
        Some((*reason, Some(message.clone()), Some(retry.clone())))
    }
}

// === impl AdapterStatus ===

impl AdapterStatus {
    /// Whether nothing is left to do.
    fn is_settled(&self) -> bool {
        match self.reason {
            Reason::Loaded | Reason::Conflict => true,
            Reason::Excluded => !self.loaded,
            _ => false,
        }
    }
}

fn is_base_model() -> String {
    "a base model of the server has this id".to_owned()
}

fn flag(yes: bool) -> Value {
    Value::Float(if yes { 1.0 } else { 0.0 })
}
