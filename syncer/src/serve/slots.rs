//! Slots for connections: how many there are at a time, and when each has to close. Owns no socket.
//!
//! A connection is idle while it has no request in flight, so also during the TLS handshake. At the limit a new
//! connection waits, and the one that has been idle for longest closes: idle connections, however many, keep out
//! neither a scraper nor a probe.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::limits::Limits;

/// All slots of a server.
#[derive(Debug)]
pub struct Slots {
    limits: Limits,
    permits: Arc<Semaphore>,
    /// Idle connections queue here to be evicted, the one that has been idle for longest first.
    evictions: Arc<Notify>,
    shutdown: CancellationToken,
}

/// The slot of one connection; free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    limits: Limits,
    activity: watch::Sender<Activity>,
    evictions: Arc<Notify>,
    shutdown: CancellationToken,
    /// Cancelled when a response takes too long.
    overdue: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug)]
struct Activity {
    requests: u64,
    in_flight: u64,
    idle_since: Instant,
}

/// A request in flight, from its head to the end of the response's body.
#[derive(Debug)]
pub struct InFlight {
    activity: watch::Sender<Activity>,
    _deadline: AbortOnDropHandle<()>,
}

/// Why a connection has to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("no request arrived in time")]
    Idle,
    #[error("the response was not read in time")]
    Overdue,
    #[error("evicted for a new connection")]
    Evicted,
    #[error("the server shuts down")]
    Shutdown,
}

// === impl Slots ===

impl Slots {
    pub fn new(limits: Limits, shutdown: CancellationToken) -> Self {
        Self {
            limits,
            permits: Arc::new(Semaphore::new(limits.connections)),
            evictions: Arc::default(),
            shutdown,
        }
    }

    /// Waits for a slot; if none is free, evicts an idle connection. One task may wait.
    pub async fn acquire(&self) -> Result<Slot, AcquireError> {
        if self.permits.available_permits() == 0 {
            self.evictions.notify_one();
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        // If a connection has closed by itself, the next idle one need not.
        self.evictions.notified().now_or_never();
        let activity = Activity {
            requests: 0,
            in_flight: 0,
            idle_since: Instant::now(),
        };
        Ok(Slot {
            limits: self.limits,
            activity: watch::Sender::new(activity),
            evictions: Arc::clone(&self.evictions),
            shutdown: self.shutdown.clone(),
            overdue: CancellationToken::new(),
            _permit: permit,
        })
    }
}

// === impl Slot ===

impl Slot {
    /// Counts a request whose head has arrived, and starts the clock of its response.
    pub fn begin(&self) -> InFlight {
        self.activity.send_modify(|activity| {
            activity.requests += 1;
            activity.in_flight += 1;
        });
        let (timeout, overdue) = (self.limits.response_timeout, self.overdue.clone());
        InFlight {
            activity: self.activity.clone(),
            _deadline: AbortOnDropHandle::new(tokio::spawn(async move {
                sleep(timeout).await;
                overdue.cancel();
            })),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.activity.borrow().in_flight == 0
    }

    /// Whether no request has arrived yet.
    pub fn is_unused(&self) -> bool {
        self.activity.borrow().requests == 0
    }

    /// Waits until the connection has to close.
    pub async fn close_reason(&self) -> CloseReason {
        let mut activity = self.activity.subscribe();
        loop {
            let Activity {
                requests,
                in_flight,
                idle_since,
            } = *activity.borrow_and_update();
            let timeout = if requests == 0 {
                self.limits.header_timeout
            } else {
                self.limits.idle_timeout
            };
            let evicted = async {
                sleep_until(idle_since + self.limits.eviction_grace).await;
                self.evictions.notified().await;
            };
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return CloseReason::Shutdown,
                () = self.overdue.cancelled() => return CloseReason::Overdue,
                _ = activity.changed() => {}
                () = sleep_until(idle_since + timeout), if in_flight == 0 => return CloseReason::Idle,
                () = evicted, if in_flight == 0 => return CloseReason::Evicted,
            }
        }
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.send_modify(|activity| {
            activity.in_flight -= 1;
            activity.idle_since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests;
