//! What a [`LoraState`] says of each adapter, and to each metric of the table.

use std::sync::Arc;

use super::Reason;
use super::config::Adapter;
use super::metrics;
use super::observed::{Models, Observed};
use super::request::Operation;
use super::response::Failure;
use super::state::LoraState;
use crate::exposition::{Family, Value};

/// Enough to know where to look.
const NAMED_ADAPTERS: usize = 3;

/// How an adapter of the configuration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub id: Arc<str>,
    /// Whether it should be loaded; nobody knows if it stands in both lists.
    pub wanted: Option<bool>,
    /// Whether the server is known to hold it.
    pub loaded: bool,
    /// Why it stands so.
    pub reason: Reason,
    /// More of that, in words: mostly the server's.
    pub why: Option<String>,
    /// Where it is to be loaded from, if it is.
    pub source: Option<Arc<str>>,
}

// === impl LoraState ===

impl LoraState {
    /// How the adapters of the configuration stand: those that are wanted, those that are not, those in both lists, each
    /// in the file's order.
    pub fn statuses(&self) -> Vec<Status> {
        let Some(config) = &self.config else { return Vec::new() };
        let wanted = config.wanted.iter().map(|adapter| {
            let source = Some(Arc::clone(&adapter.source));
            self.status(&adapter.id, Some(true), source, |models| self.wanted(adapter, models))
        });
        let unwanted = config
            .unwanted
            .iter()
            .map(|id| self.status(id, Some(false), None, |models| self.unwanted(id, models)));
        let conflicts = config
            .conflicts
            .iter()
            .map(|id| self.status(id, None, None, |_| (Reason::Conflict, None)));
        wanted.chain(unwanted).chain(conflicts).collect()
    }

    /// Whether the server is known to hold what is configured. The error says what is missing.
    pub fn ready(&self) -> Result<(), String> {
        match &self.observed {
            _ if self.config.is_none() => return Err("there is no good configuration yet".to_owned()),
            None => return Err("the server was not asked yet".to_owned()),
            Some(Observed::Unknown(Failure { why, .. })) => return Err(format!("the server cannot be asked: {why}")),
            Some(Observed::Known(_)) => {}
        }
        let statuses = self.statuses();
        let open: Vec<_> = statuses.iter().filter(|status| !status.is_settled()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let named = open.iter().take(NAMED_ADAPTERS);
        let mut names: Vec<_> = named
            .map(|status| format!("{} ({})", status.id, status.reason.as_str()))
            .collect();
        if open.len() > NAMED_ADAPTERS {
            names.push("…".to_owned());
        }
        Err(format!(
            "{} of {} adapters are not as configured: {}",
            open.len(),
            statuses.len(),
            names.join(", ")
        ))
    }

    /// All families, in the table's order. A family without a series is left out.
    pub fn families(&self) -> Vec<Family> {
        let statuses = self.statuses();
        let name = |status: &Status| vec![("adapter_name", Arc::clone(&status.id))];
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
                    .filter_map(|status| Some((name(status), flag(status.wanted?)))),
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

    /// `known` says why, if it is known what the server holds.
    fn status(
        &self,
        id: &Arc<str>,
        wanted: Option<bool>,
        source: Option<Arc<str>>,
        known: impl Fn(&Models) -> (Reason, Option<String>),
    ) -> Status {
        let (loaded, (reason, why)) = match &self.observed {
            Some(Observed::Known(models)) => {
                // Of one that is wanted the worse word counts, of one that is not, too.
                let is_gone = wanted == Some(true) && self.is_unloaded(id);
                (models.adapters.contains_key(id) && !is_gone, known(models))
            }
            Some(Observed::Unknown(Failure { reason, why })) => (false, (*reason, Some(why.clone()))),
            None => (false, (Reason::Pending, None)),
        };
        Status {
            id: Arc::clone(id),
            wanted,
            loaded,
            reason,
            why,
            source,
        }
    }

    fn wanted(&self, adapter: &Adapter, models: &Models) -> (Reason, Option<String>) {
        let is_loaded = models.adapters.contains_key(&adapter.id) && !self.is_unloaded(&adapter.id);
        if is_loaded && self.memory.is_current(adapter, models) {
            (Reason::Loaded, None)
        } else if !is_loaded && models.base.contains(&adapter.id) {
            (Reason::LoadRejected, Some("it is the name of a base model".to_owned()))
        } else if self.is_loading(&adapter.id) {
            (Reason::Loading, None)
        } else {
            self.failure(&adapter.id).unwrap_or((Reason::Pending, None))
        }
    }

    fn unwanted(&self, id: &str, models: &Models) -> (Reason, Option<String>) {
        if models.base.contains(id) {
            (Reason::UnloadFailed, Some("it is the name of a base model".to_owned()))
        } else if models.adapters.contains_key(id) {
            self.failure(id).unwrap_or((Reason::Excluded, None))
        } else {
            (Reason::Excluded, None)
        }
    }

    /// By the server's word that its list does not show yet.
    fn is_unloaded(&self, id: &str) -> bool {
        self.memory.unconfirmed(id) == Some(Operation::Unload)
    }

    fn is_loading(&self, id: &str) -> bool {
        let is_asked = self.under_way.get(id).is_some_and(|call| call.adapter().is_some());
        let is_done = self
            .memory
            .unconfirmed(id)
            .is_some_and(|operation| operation != Operation::Unload);
        is_asked || is_done
    }

    fn failure(&self, id: &str) -> Option<(Reason, Option<String>)> {
        let Failure { reason, why } = self.memory.failure(id)?;
        Some((*reason, Some(why.clone())))
    }
}

// === impl Status ===

impl Status {
    /// There is nothing to be done about it.
    fn is_settled(&self) -> bool {
        match self.reason {
            Reason::Loaded | Reason::Conflict => true,
            Reason::Excluded => !self.loaded,
            _ => false,
        }
    }
}

fn flag(yes: bool) -> Value {
    Value::Float(if yes { 1.0 } else { 0.0 })
}
