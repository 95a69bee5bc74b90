//! The log of status changes: a line when the reachability of the server or the status of an adapter changes, and none
//! otherwise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tracing::{info, warn};

use crate::lora::Reason;
use crate::lora::state::LoraState;
use crate::lora::status::AdapterStatus;

/// What was logged last.
#[derive(Debug, Default)]
pub(super) struct StatusLog {
    /// Servers, each with the reason if it could not be polled.
    servers: HashMap<Uri, Result<(), Reason>>,
    adapters: HashMap<Arc<str>, AdapterStatus>,
}

// === impl StatusLog ===

impl StatusLog {
    /// Logs the differences between `state` and what was logged last.
    pub(super) fn update(&mut self, state: &LoraState) {
        let mut before = std::mem::take(&mut self.servers);
        for (server, poll) in state.polls() {
            let Some(poll) = poll else { continue };
            let now = poll.map_err(|error| error.reason);
            let changed = before.remove(server) != Some(now);
            self.servers.insert(server.clone(), now);
            match poll {
                Err(error) if changed => {
                    let reason = error.reason.as_str();
                    warn!(
                        reason,
                        "model server {server}: poll failed: {error}; adapter status is unknown, nothing is loaded or unloaded \
                         until a poll succeeds"
                    );
                }
                Ok(()) if changed => info!("model server {server}: poll succeeded"),
                _ => {}
            }
        }
        // A server that is new, as its adapters are.
        if state.polls().any(|(_, poll)| poll.is_none()) {
            return;
        }
        let mut previous = std::mem::take(&mut self.adapters);
        for status in state.statuses() {
            let mut logged = status;
            match previous.remove(&logged.id) {
                // Without a server's models, the status says no more than that.
                Some(last) if is_unknown(&logged) => logged = last,
                None if is_unknown(&logged) => continue,
                // A retry is logged only if its outcome differs from the last failure.
                Some(last) if logged.reason == Reason::Loading && last.message.is_some() => logged = last,
                last if last.as_ref().is_none_or(|last| differ(last, &logged)) => log(last.as_ref(), &logged),
                _ => {}
            }
            self.adapters.insert(Arc::clone(&logged.id), logged);
        }
    }
}

/// Whether the status is that of a server that has not been polled, or not successfully.
fn is_unknown(status: &AdapterStatus) -> bool {
    let poll_failed = matches!(
        status.reason,
        Reason::Unreachable | Reason::Timeout | Reason::Unauthorized
    );
    poll_failed && status.retry.is_none()
}

/// Whether a change is worth a line. The number and the time of retries are not.
fn differ(last: &AdapterStatus, now: &AdapterStatus) -> bool {
    let AdapterStatus {
        id: _,
        desired,
        loaded,
        loaded_on: _,
        servers: _,
        reason,
        message,
        retry: _,
        source,
    } = now;
    (last.desired, last.loaded, last.reason) != (*desired, *loaded, *reason)
        || (&last.message, &last.source) != (message, source)
}

fn log(last: Option<&AdapterStatus>, status: &AdapterStatus) {
    let was_loaded = last.is_some_and(|last| last.loaded);
    let AdapterStatus {
        id,
        loaded,
        loaded_on,
        servers,
        ..
    } = status;
    let has_new_servers = last.is_some_and(|last| last.servers < *servers);
    let missing = match (servers, servers.saturating_sub(*loaded_on)) {
        (1, _) => "the server".to_owned(),
        (servers, missing) => format!("{missing} of {servers} servers"),
    };
    let reason = status.reason.as_str();
    let adapter = &**id;
    let source = status.source.as_deref().unwrap_or_default();
    match status.reason {
        // Unless it was lost, the load that follows is logged.
        Reason::Pending if was_loaded && !loaded && !has_new_servers => {
            warn!(
                adapter,
                reason, "adapter {adapter:?}: no longer loaded on {missing}; loading it again"
            );
        }
        Reason::Pending if was_loaded && *loaded && last.is_some_and(|last| last.source == status.source) => {
            warn!(
                adapter,
                reason,
                "adapter {adapter:?}: the server has it loaded from another source than {source}; loading it again"
            );
        }
        Reason::Pending => {}
        Reason::Loading => info!(adapter, reason, "adapter {adapter:?}: loading from {source}"),
        Reason::Loaded => info!(adapter, reason, "adapter {adapter:?}: loaded from {source}"),
        Reason::Excluded if *loaded => info!(
            adapter,
            reason, "adapter {adapter:?}: loaded, but in ensureNotExist; unloading it"
        ),
        Reason::Excluded if was_loaded => info!(adapter, reason, "adapter {adapter:?}: unloaded"),
        Reason::Excluded => {}
        Reason::Conflict => warn!(
            adapter,
            reason, "adapter {adapter:?}: in both ensureExist and ensureNotExist; left as it is"
        ),
        _ => warn!(adapter, reason, "adapter {adapter:?}: {}", failure(status)),
    }
}

/// As in `load failed: 404 no adapter at /adapters/sql; retrying in 10 s`.
fn failure(status: &AdapterStatus) -> String {
    let message = status.message.as_deref().unwrap_or_default();
    let Some(retry) = &status.retry else {
        let verb = if status.desired == Some(false) {
            "unloaded"
        } else {
            "loaded"
        };
        return format!("cannot be {verb}: {message}");
    };
    let operation = retry.operation.as_str();
    let still_loaded = match (status.desired, status.loaded) {
        (Some(true), true) => "; the previous version is loaded",
        _ => "",
    };
    format!(
        "{operation} failed: {message}{still_loaded}; retrying in {}",
        seconds(retry.delay)
    )
}

/// Whole seconds: the jitter of a backoff is of no interest.
fn seconds(delay: Duration) -> String {
    format!("{:.0} s", delay.as_secs_f64().ceil())
}

#[cfg(test)]
mod tests;
