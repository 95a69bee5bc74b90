//! The gauge of running requests, which survives the death of a worker's VM.
//!
//! The gauge is process-wide, but what raised it is not: when a VM dies (a trap, a reload), nobody is left to lower
//! what it had raised. So every VM keeps its own contribution in the shared map, with a heartbeat, and lowers the
//! gauge by the contribution of any VM whose heartbeat has stopped.
//!
//! A slot of the map belongs to one VM at a time. It is taken, and taken away, by compare-and-swap only, so exactly
//! one VM gives a dead one's share back. A VM that was only held up finds its slot gone when it next beats, takes a new
//! one and raises the gauge again by what it still runs.

mod share;

use std::collections::HashMap;

use crate::labels::{Label, ModelLabel, stat_name};
use crate::metrics::MetricId;
use crate::shared::{SharedData, StatId, StatKind, StatSink};
use share::Share;

/// Time between two heartbeats, nanoseconds.
pub const BEAT_NS: u64 = 1_000_000_000;
/// A VM that has not beaten for so long is dead. Long against any pause of a worker that still serves.
const DEAD_AFTER_NS: u64 = 10 * BEAT_NS;
/// A VM that has not beaten for so long looks whether it still has its slot before it writes to it.
const DOUBTFUL_AFTER_NS: u64 = DEAD_AFTER_NS / 2;
/// More VMs than a process has threads.
const MAX_SLOTS: usize = 4096;

/// One worker's part of the gauge.
#[derive(Debug, Default)]
pub struct Running {
    counts: HashMap<ModelLabel, u64>,
    gauges: HashMap<ModelLabel, StatId>,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    key: String,
    /// Tells this VM's tenancy of the slot from any other.
    tenancy: u64,
    last_beat: u64,
}

// === impl Running ===

impl Running {
    /// A request of this model began. `now` is monotonic, nanoseconds.
    pub fn begin(&mut self, model: &ModelLabel, now: u64, host: &mut (impl SharedData + StatSink)) {
        self.check_slot(now, host);
        *self.counts.entry(model.clone()).or_default() += 1;
        self.save(now, host);
        self.add(model, 1, host);
    }

    /// It ended.
    pub fn end(&mut self, model: &ModelLabel, now: u64, host: &mut (impl SharedData + StatSink)) {
        self.check_slot(now, host);
        let Some(count) = self.counts.get_mut(model) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.counts.remove(model);
        }
        self.save(now, host);
        self.add(model, -1, host);
    }

    /// Once a beat: shows that this VM lives and gives back what dead ones left.
    pub fn beat(&mut self, now: u64, host: &mut (impl SharedData + StatSink)) {
        self.check_slot(now, host);
        if self.slot.is_some() || !self.counts.is_empty() {
            self.save(now, host);
        }
        for slot in 0..MAX_SLOTS {
            let key = slot_key(slot);
            let Some((bytes, version)) = host.get(&key) else { break };
            let Some(dead) = Share::decode(&bytes).filter(|share| now.saturating_sub(share.beat) > DEAD_AFTER_NS)
            else {
                continue;
            };
            if host.replace(&key, &Share::VACANT, version) {
                for (model, count) in dead.counts {
                    self.add(&model, -delta(count), host);
                }
            }
        }
    }

    /// Finds out whether this VM was taken for dead. Then another has lowered the gauge by all that still runs here.
    fn check_slot(&mut self, now: u64, host: &mut (impl SharedData + StatSink)) {
        let Some(slot) = &self.slot else { return };
        if now.saturating_sub(slot.last_beat) <= DOUBTFUL_AFTER_NS || slot.is_held(host) {
            return;
        }
        self.slot = None;
        for (model, count) in self.counts.clone() {
            self.add(&model, delta(count), host);
        }
    }

    /// Writes this VM's share down. This comes before the gauge is touched: whoever dies in between dies of a trap,
    /// and there is none between the two.
    fn save(&mut self, now: u64, host: &mut impl SharedData) {
        let share = |tenancy| Share::encode(tenancy, now, &self.counts);
        match &mut self.slot {
            Some(slot) => {
                host.set(&slot.key, &share(slot.tenancy));
                slot.last_beat = now;
            }
            None => self.slot = Slot::take(now, share, host),
        }
    }

    fn add(&mut self, model: &ModelLabel, delta: i64, sink: &mut impl StatSink) {
        let gauge = match self.gauges.get(model) {
            Some(gauge) => Some(*gauge),
            None => {
                let name = stat_name(
                    &[(Label::ModelName, model.as_str())],
                    MetricId::RunningRequests.metric().name,
                );
                let gauge = sink.define(StatKind::Gauge, &name);
                self.gauges.extend(gauge.map(|gauge| (model.clone(), gauge)));
                gauge
            }
        };
        if let Some(gauge) = gauge {
            sink.add(gauge, delta);
        }
    }
}

// === impl Slot ===

impl Slot {
    /// Takes the first free slot.
    fn take(now: u64, share: impl Fn(u64) -> Vec<u8>, host: &mut impl SharedData) -> Option<Self> {
        for slot in 0..MAX_SLOTS {
            let key = slot_key(slot);
            let found = host.get(&key);
            let taken = match found {
                None => host.create(&key, &share(now)),
                Some((bytes, version)) if bytes == Share::VACANT => host.replace(&key, &share(now), version),
                Some(_) => false,
            };
            if taken {
                return Some(Self {
                    key,
                    tenancy: now,
                    last_beat: now,
                });
            }
        }
        None
    }

    fn is_held(&self, host: &mut impl SharedData) -> bool {
        let held = host.get(&self.key).and_then(|(bytes, _)| Share::decode(&bytes));
        held.is_some_and(|share| share.tenancy == self.tenancy)
    }
}

fn delta(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn slot_key(slot: usize) -> String {
    format!("infertally.running.{slot}")
}

#[cfg(test)]
mod tests;
