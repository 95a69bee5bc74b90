//! The gauge of requests in flight, which stays correct when a worker's VM dies and when the whole process sleeps.
//!
//! The gauge is process-wide, but each VM only knows its own requests: if a VM traps or is reloaded, nobody lowers what it
//! raised. So every VM keeps its share of the gauge in a slot of shared data, under a lease that its heartbeat renews, and
//! any other VM lowers the gauge by the share of an expired lease.
//!
//! Every write to a slot is a compare-and-swap with the version that was read. A VM whose lease was revoked while it slept
//! finds out by its next write, acquires another slot, and raises the gauge by all that it still runs.
//!
//! Invariant: share and gauge agree whenever a VM can die, and the gauge is never below the sum of all shares (see
//! `lease`).

mod share;

use crate::labels::{Label, ModelLabel, stat_name};
use crate::lease::{self, Deltas, FREE, delta};
use crate::metrics::MetricId;
use crate::names::ModelId;
use crate::shared::{SharedData, StatId, StatKind, StatSink};
use share::Share;

/// More VMs than a process has threads.
const MAX_SLOTS: usize = 4096;

/// This worker's requests in flight, and its lease.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    /// Those of which this VM has had a request, by [`ModelId`].
    models: Vec<Option<Count>>,
    /// A request has started or finished since the last publishing.
    is_dirty: bool,
    lease: Option<Lease>,
    /// The slot that the next heartbeat examines.
    next_slot: usize,
}

/// The requests of one model.
#[derive(Clone, Debug)]
struct Count {
    model: ModelLabel,
    running: u64,
    /// What this VM's share in shared data and the gauge contain.
    published: u64,
    gauge: Option<StatId>,
}

/// The right to keep a share in one slot of the shared map.
#[derive(Clone, Debug)]
struct Lease {
    slot: usize,
    /// Distinguishes this holder from earlier and later ones of the same slot.
    holder: u64,
}

// === impl Running ===

impl Running {
    /// Counts a request as running, from the next publishing on.
    ///
    /// `label` is the name's; it is used for a model's first request.
    pub(crate) fn start(&mut self, model: ModelId, label: impl FnOnce() -> ModelLabel) {
        if self.models.len() <= model.index() {
            self.models.resize(model.index() + 1, None);
        }
        if let Some(count) = self.models.get_mut(model.index()) {
            count.get_or_insert_with(|| Count::new(label())).running += 1;
            self.is_dirty = true;
        }
    }

    pub(crate) fn finish(&mut self, model: ModelId) {
        if let Some(Some(count)) = self.models.get_mut(model.index()) {
            count.running = count.running.saturating_sub(1);
            self.is_dirty = true;
        }
    }

    /// Gives the lease back, if nothing runs any more; else it expires.
    pub(crate) fn release(&mut self, host: &mut (impl SharedData + StatSink)) {
        let Some(lease) = self
            .lease
            .take_if(|_| self.models.iter().flatten().all(|count| count.published == 0))
        else {
            return;
        };
        let key = slot_key(lease.slot);
        if let Some((bytes, version)) = host.get(&key)
            && Share::decode(&bytes).is_some_and(|share| share.holder == lease.holder)
        {
            lease::write(&key, &FREE, Some(version), &[], host);
        }
    }

    /// Publishes the requests that started and finished. `now_ns` is monotonic and the same clock in all VMs.
    pub(crate) fn publish(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        self.define_gauges(host);
        if self.counts().any(|count| count.running != count.published) {
            self.write(now_ns, host);
        }
    }

    /// Renews the lease, and takes back the share of one slot if its lease has expired. Each VM begins at the slot after
    /// its own, so that together they examine every slot with every beat.
    pub(crate) fn heartbeat(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.is_dirty = false;
        self.define_gauges(host);
        if self.lease.is_some() || self.counts().any(|count| count.running > 0) {
            self.write(now_ns, host);
        }
        if !self.examine(now_ns, host) && self.next_slot > 0 {
            self.next_slot = 0;
            self.examine(now_ns, host);
        }
    }

    /// A model has its gauge from its first request on, even if that ends before it is published.
    fn define_gauges(&mut self, sink: &mut impl StatSink) {
        for count in self.models.iter_mut().flatten() {
            if count.gauge.is_none() {
                count.gauge = define(&count.model, sink);
            }
        }
    }

    fn counts(&self) -> impl Iterator<Item = &Count> {
        self.models.iter().flatten()
    }

    /// Examines the next slot; `false` if there is none.
    fn examine(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) -> bool {
        let key = slot_key(self.next_slot);
        let Some((bytes, version)) = host.get(&key) else {
            return false;
        };
        self.next_slot = (self.next_slot + 1) % MAX_SLOTS;
        let expired = Share::decode(&bytes).filter(|share| lease::is_expired(share.renewed_ns, now_ns));
        if let Some(expired) = expired {
            let lower: Deltas = expired
                .counts
                .iter()
                .filter_map(|(model, count)| Some((define(model, host)?, -delta(*count))))
                .collect();
            lease::write(&key, &FREE, Some(version), &lower, host);
        }
        true
    }

    /// Writes this VM's share and changes the gauges accordingly.
    fn write(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        if let Some(lease) = &self.lease {
            let key = slot_key(lease.slot);
            let held = host
                .get(&key)
                .filter(|(bytes, _)| Share::decode(bytes).is_some_and(|share| share.holder == lease.holder));
            let share = self.share(lease.holder, now_ns);
            if let Some((_, version)) = held
                && lease::write(&key, &share, Some(version), &self.deltas(), host)
            {
                self.published();
                return;
            }
            // The lease was revoked, and the gauge was lowered by all that this VM had published.
            self.lease = None;
            for count in self.models.iter_mut().flatten() {
                count.published = 0;
            }
        }
        if self.counts().any(|count| count.running > 0) {
            self.acquire(now_ns, host);
        }
    }

    /// Acquires the first free slot and writes the share to it. If all are taken, the gauge lacks these requests until a
    /// later heartbeat finds one.
    fn acquire(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        let (share, deltas) = (self.share(now_ns, now_ns), self.deltas());
        for slot in 0..MAX_SLOTS {
            let key = slot_key(slot);
            let read = match host.get(&key) {
                None => None,
                Some((bytes, version)) if bytes == FREE => Some(version),
                Some(_) => continue,
            };
            if lease::write(&key, &share, read, &deltas, host) {
                self.lease = Some(Lease { slot, holder: now_ns });
                self.next_slot = slot + 1;
                self.published();
                return;
            }
        }
    }

    fn share(&self, holder: u64, now_ns: u64) -> Vec<u8> {
        let counts = self.counts().filter(|count| count.running > 0);
        Share::encode(holder, now_ns, counts.map(|count| (&count.model, count.running)))
    }

    /// What the gauges lack.
    fn deltas(&self) -> Deltas {
        let changed = self.counts().filter(|count| count.running != count.published);
        changed
            .filter_map(|count| Some((count.gauge?, delta(count.running) - delta(count.published))))
            .collect()
    }

    fn published(&mut self) {
        for count in self.models.iter_mut().flatten() {
            count.published = count.running;
        }
    }
}

// === impl Count ===

impl Count {
    fn new(model: ModelLabel) -> Self {
        Self {
            model,
            running: 0,
            published: 0,
            gauge: None,
        }
    }
}

fn define(model: &ModelLabel, sink: &mut impl StatSink) -> Option<StatId> {
    let name = stat_name(
        &[(Label::ModelName, model.as_str())],
        MetricId::RunningRequests.metric().name,
    );
    sink.define(StatKind::Gauge, &name)
}

fn slot_key(slot: usize) -> String {
    format!("infertally.running.{slot}")
}

#[cfg(test)]
mod tests;
