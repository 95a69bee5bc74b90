//! What the log says of a board: what has changed, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{info, warn};

use crate::lora::Reason;
use crate::lora::state::LoraState;
use crate::lora::status::Status;

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether the server could be asked, or why not.
    server: Option<Result<(), Reason>>,
    adapters: HashMap<Arc<str>, Status>,
}

// === impl Changes ===

impl Changes {
    /// Says what is new.
    pub(super) fn log(&mut self, board: &LoraState) {
        let Some(server) = board.server() else { return };
        let now = server.map_err(|failure| failure.reason);
        let before = self.server.replace(now);
        match server {
            Err(failure) => {
                if before != Some(now) {
                    let reason = failure.reason.as_str();
                    warn!(
                        reason,
                        why = failure.why,
                        "the server cannot be asked; what it holds is not known"
                    );
                }
                // Of its adapters nothing is known, which says nothing new.
                return;
            }
            Ok(()) if before != Some(now) => info!("the server can be asked"),
            Ok(()) => {}
        }
        let mut before = std::mem::take(&mut self.adapters);
        for status in board.statuses() {
            let mut said = status;
            match before.remove(&said.id) {
                // One that failed is tried again: what comes of it is news if it is another thing than before.
                Some(was) if said.reason == Reason::Loading && was.why.is_some() => said = was,
                was if was.as_ref() != Some(&said) => log(was.as_ref(), &said),
                _ => {}
            }
            self.adapters.insert(Arc::clone(&said.id), said);
        }
    }
}

fn log(before: Option<&Status>, status: &Status) {
    let Status {
        id,
        loaded,
        reason,
        why,
        source,
        ..
    } = status;
    let (adapter, reason, source) = (&**id, reason.as_str(), source.as_deref());
    match status.reason {
        // It was lost if it was loaded; else this is what is to be done, and is not yet news.
        Reason::Pending => {
            if !loaded && before.is_some_and(|before| before.loaded) {
                warn!(adapter, reason, "the server no longer holds the adapter");
            }
        }
        Reason::Loading => info!(adapter, reason, source, "the adapter is being loaded"),
        Reason::Loaded => info!(adapter, reason, source, "the adapter is loaded"),
        Reason::Excluded if *loaded => info!(adapter, reason, "the adapter is to be unloaded"),
        Reason::Excluded => {
            if before.is_some_and(|before| before.loaded) {
                info!(adapter, reason, "the adapter is unloaded");
            }
        }
        Reason::Conflict => warn!(
            adapter,
            reason, loaded, "the adapter stands in both lists and is left alone"
        ),
        _ => warn!(adapter, reason, why, source, loaded, "the adapter is not as configured"),
    }
}
