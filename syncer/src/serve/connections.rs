//! All connections, and the cap on them.
//!
//! At the cap, the connection that has been idle for longest makes room for the new one: so no crowd of idle
//! connections keeps a scraper or a probe out. Until one has been idle for [`Limits::settle`] the new one waits, as do
//! those behind it in the kernel's backlog; [`Limits::answer`] bounds that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::activity::{Activity, End};
use super::limits::Limits;

/// The connections there are.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    open: Mutex<Open>,
    /// A connection ended or became idle.
    room: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Open {
    by_number: HashMap<u64, Arc<Activity>>,
    next: u64,
}

/// A connection's place, free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    number: u64,
    activity: Arc<Activity>,
}

// === impl Connections ===

impl Connections {
    /// No connection yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Mutex::default(),
            room: Arc::default(),
        }
    }

    /// Waits for room and takes it. One task may wait.
    pub async fn admit(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_admit() {
                return place;
            }
            match self.evict() {
                Some(when) => _ = timeout_at(when, self.room.notified()).await,
                None => self.room.notified().await,
            }
        }
    }

    /// Tells every connection to end.
    pub fn shut_down(&self) {
        for activity in self.open().by_number.values() {
            activity.tell(End::Shutdown);
        }
    }

    fn try_admit(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        if open.by_number.len() >= self.limits.connections {
            return None;
        }
        let number = open.next;
        open.next += 1;
        let activity = Arc::new(Activity::new(self.limits, Arc::clone(&self.room)));
        open.by_number.insert(number, Arc::clone(&activity));
        Some(Place {
            connections: Arc::clone(self),
            number,
            activity,
        })
    }

    /// Tells the connection that has been idle for longest to make room; if none can yet, says when the first can.
    fn evict(&self) -> Option<Instant> {
        let open = self.open();
        // One that is on its way out is room enough for one that waits.
        if open.by_number.values().any(|activity| activity.is_told()) {
            return None;
        }
        let idle = open
            .by_number
            .values()
            .filter_map(|activity| Some((activity.idle_since()?, activity)));
        let (since, activity) = idle.min_by_key(|(since, _)| *since)?;
        let when = since + self.limits.settle;
        if Instant::now() < when {
            return Some(when);
        }
        activity.tell(End::Evicted);
        None
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// What the connection at this place is doing.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().by_number.remove(&self.number);
        self.connections.room.notify_one();
    }
}

#[cfg(test)]
mod tests;
