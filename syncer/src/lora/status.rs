//! The status of each configured adapter, derived from a [`LoraState`], and the metric families and the readiness that
//! follow from it.
//!
//! Several servers have one status: an adapter is loaded if every server has it loaded, and its reason is that of the
//! server where things are worst, see [`Reason`].

use std::sync::Arc;

use http::Uri;

use super::Reason;
use super::metrics;
use super::observed::Observed;
use super::retry::Retry;
use super::state::{LoraState, ServerState, ServerStatus};
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
    /// Whether every server is known to have it loaded, from whatever source.
    pub loaded: bool,
    /// The number of servers that are known to have it loaded.
    pub loaded_on: usize,
    /// The number of servers.
    pub servers: usize,
    /// Why it is so.
    pub reason: Reason,
    /// Details of `reason`, such as the server's error; with the server's address if there are several.
    pub message: Option<String>,
    /// The last failure and the time of the next attempt, if `reason` comes from a failed operation.
    pub retry: Option<Retry>,
    /// The configured source, if it should be loaded.
    pub source: Option<Arc<str>>,
}

// === impl LoraState ===

impl LoraState {
    /// The status of each configured adapter: `ensureExist`, then `ensureNotExist`, then those in both lists, each in the
    /// order of the file.
    pub fn statuses(&self) -> Vec<AdapterStatus> {
        let Some(config) = &self.config else { return Vec::new() };
        let desired = config.desired.iter().map(|spec| {
            let source = Some(Arc::clone(&spec.source));
            self.status(&spec.id, Some(true), source, |server| server.desired(spec))
        });
        let excluded = config
            .excluded
            .iter()
            .map(|id| self.status(id, Some(false), None, |server| server.excluded(id)));
        let conflicts = config
            .conflicts
            .iter()
            .map(|id| self.status(id, None, None, |server| server.conflict(id)));
        desired.chain(excluded).chain(conflicts).collect()
    }

    /// Whether every server is known to be as configured. The error says what is missing.
    pub fn ready(&self) -> Result<(), String> {
        if self.config.is_none() {
            return Err("no valid configuration yet".to_owned());
        }
        for server in &self.servers {
            let name = self.server_name(&server.address);
            match &server.observed {
                None => return Err(format!("model server{name} not polled yet")),
                Some(Observed::Unknown(error)) => return Err(format!("model server{name} cannot be polled: {error}")),
                Some(Observed::Known(_)) => {}
            }
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
        status: impl Fn(&ServerState) -> ServerStatus,
    ) -> AdapterStatus {
        let statuses: Vec<_> = self.servers.iter().map(|server| (server, status(server))).collect();
        let loaded_on = statuses.iter().filter(|(_, status)| status.loaded).count();
        // Of servers where things are equally bad, the first.
        let worst = statuses
            .into_iter()
            .reduce(|worst, other| if other.1.reason > worst.1.reason { other } else { worst });
        let (reason, message, retry) = match worst {
            Some((server, status)) => {
                let name = self.server_name(&server.address);
                let message = status.message.map(|message| match &*name {
                    "" => message,
                    name => format!("server{name}: {message}"),
                });
                (status.reason, message, status.retry)
            }
            None => (Reason::Pending, None, None),
        };
        AdapterStatus {
            id: Arc::clone(id),
            desired,
            loaded: loaded_on > 0 && loaded_on == self.servers.len(),
            loaded_on,
            servers: self.servers.len(),
            reason,
            message,
            retry,
            source,
        }
    }

    /// The address of a server after a space. Empty if there is no other one.
    fn server_name(&self, address: &Uri) -> String {
        match self.servers.len() {
            0 | 1 => String::new(),
            _ => format!(" {address}"),
        }
    }
}

// === impl AdapterStatus ===

impl AdapterStatus {
    /// Whether nothing is left to do.
    fn is_settled(&self) -> bool {
        match self.reason {
            Reason::Loaded | Reason::Conflict => true,
            Reason::Excluded => self.loaded_on == 0,
            _ => false,
        }
    }
}

fn flag(yes: bool) -> Value {
    Value::Float(if yes { 1.0 } else { 0.0 })
}
