//! The gauge of requests in flight, which stays correct when a worker's VM dies.
//!
//! The gauge is process-wide, but each VM only knows its own requests: if a VM traps or is reloaded, nobody lowers what it
//! raised. So every VM publishes its share of the gauge in shared data, under a lease that its heartbeat renews, and any
//! other VM lowers the gauge by the share of an expired lease.
//!
//! A lease is acquired and revoked by compare-and-swap only, so exactly one VM takes back a dead one's share. A VM that
//! was merely delayed finds its lease revoked, acquires a new one and raises the gauge by what it still runs.

mod share;

use std::collections::HashMap;

use crate::labels::{Label, ModelLabel, stat_name};
use crate::metrics::MetricId;
use crate::shared::{SharedData, StatId, StatKind, StatSink};
use share::Share;

/// Interval between two heartbeats, in nanoseconds.
pub const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A lease that is not renewed for this long has expired. Much longer than any pause of a live worker.
const LEASE_NS: u64 = 10 * HEARTBEAT_NS;
/// A VM that has not renewed its lease for this long verifies it before it writes to its slot.
const VERIFY_AFTER_NS: u64 = LEASE_NS / 2;
/// More VMs than a process has threads.
const MAX_SLOTS: usize = 4096;

/// This worker's requests in flight, and its lease.
#[derive(Debug, Default)]
pub(crate) struct Running {
    counts: HashMap<ModelLabel, u64>,
    gauges: HashMap<ModelLabel, StatId>,
    lease: Option<Lease>,
}

/// The right to publish a share in one slot of the shared map.
#[derive(Debug)]
struct Lease {
    key: String,
    /// Distinguishes this holder from earlier and later ones of the same slot.
    holder: u64,
    renewed_ns: u64,
}

// === impl Running ===

impl Running {
    /// Counts a request as running. `now_ns` is monotonic and the same clock in all VMs.
    pub(crate) fn start(&mut self, model: &ModelLabel, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.verify_lease(now_ns, host);
        *self.counts.entry(model.clone()).or_default() += 1;
        self.publish(now_ns, host);
        self.add(model, 1, host);
    }

    pub(crate) fn finish(&mut self, model: &ModelLabel, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.verify_lease(now_ns, host);
        let Some(count) = self.counts.get_mut(model) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.counts.remove(model);
        }
        self.publish(now_ns, host);
        self.add(model, -1, host);
    }

    /// Renews the lease and takes back the shares of expired ones.
    pub(crate) fn heartbeat(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.verify_lease(now_ns, host);
        if self.lease.is_some() || !self.counts.is_empty() {
            self.publish(now_ns, host);
        }
        for slot in 0..MAX_SLOTS {
            let key = slot_key(slot);
            let Some((bytes, version)) = host.get(&key) else { break };
            let Some(expired) =
                Share::decode(&bytes).filter(|share| now_ns.saturating_sub(share.renewed_ns) > LEASE_NS)
            else {
                continue;
            };
            if host.replace(&key, &Share::FREE, version) {
                for (model, count) in expired.counts {
                    self.add(&model, -delta(count), host);
                }
            }
        }
    }

    /// Drops a lease that another VM has revoked. That VM lowered the gauge by everything that still runs here.
    fn verify_lease(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        let Some(lease) = &self.lease else { return };
        if now_ns.saturating_sub(lease.renewed_ns) <= VERIFY_AFTER_NS || lease.is_held(host) {
            return;
        }
        self.lease = None;
        for (model, count) in self.counts.clone() {
            self.add(&model, delta(count), host);
        }
    }

    /// Writes this VM's share. The gauge is changed only afterwards: a VM dies only by a trap, and none can occur between
    /// the two.
    fn publish(&mut self, now_ns: u64, host: &mut impl SharedData) {
        let share = |holder| Share::encode(holder, now_ns, &self.counts);
        match &mut self.lease {
            Some(lease) => {
                host.set(&lease.key, &share(lease.holder));
                lease.renewed_ns = now_ns;
            }
            None => self.lease = Lease::acquire(now_ns, share, host),
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

// === impl Lease ===

impl Lease {
    /// Acquires the first free slot.
    fn acquire(now_ns: u64, share: impl Fn(u64) -> Vec<u8>, host: &mut impl SharedData) -> Option<Self> {
        for slot in 0..MAX_SLOTS {
            let key = slot_key(slot);
            let acquired = match host.get(&key) {
                None => host.create(&key, &share(now_ns)),
                Some((bytes, version)) if bytes == Share::FREE => host.replace(&key, &share(now_ns), version),
                Some(_) => false,
            };
            if acquired {
                return Some(Self {
                    key,
                    holder: now_ns,
                    renewed_ns: now_ns,
                });
            }
        }
        None
    }

    fn is_held(&self, host: &mut impl SharedData) -> bool {
        let current = host.get(&self.key).and_then(|(bytes, _)| Share::decode(&bytes));
        current.is_some_and(|share| share.holder == self.holder)
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
