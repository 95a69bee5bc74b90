//! A contribution to a gauge that several filters of one Envoy process add up, made by one VM for all that have the same.
//!
//! Filters with different `vm_id`s share the gauge but no shared data, and the VMs of one filter all know the same value.
//! So the VMs elect one: it holds the contribution under a lease and takes it back when it ends. If it dies, another VM
//! takes over its lease, and the gauge does not change.

use crate::labels::stat_name;
use crate::lease::{self, FREE};
use crate::metrics::MetricId;
use crate::shared::{SharedData, StatId, StatKind, StatSink};

/// One VM's part in a contribution.
#[derive(Clone, Debug)]
pub(crate) struct Contribution {
    key: String,
    metric: MetricId,
    gauge: Option<StatId>,
    /// Identifies this VM as the holder, if it is.
    holder: Option<u64>,
}

/// The contribution in shared data: `holder renewed_ns value`.
struct Held {
    holder: u64,
    renewed_ns: u64,
    value: u64,
}

// === impl Contribution ===

impl Contribution {
    /// `key` names what all VMs of a filter have in common.
    pub(crate) fn new(key: String, metric: MetricId) -> Self {
        Self {
            key,
            metric,
            gauge: None,
            holder: None,
        }
    }

    /// Makes the gauge appear.
    pub(crate) fn define(&mut self, sink: &mut impl StatSink) {
        self.gauge = self
            .gauge
            .or_else(|| sink.define(StatKind::Gauge, &stat_name(&[], self.metric.metric().name)));
    }

    /// Makes the contribution equal to `value`, if this VM holds it or can acquire it.
    pub(crate) fn hold(&mut self, value: u64, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.define(host);
        let (read, before) = match host.get(&self.key) {
            None if value == 0 => return,
            None => (None, 0),
            Some((bytes, version)) => match Held::decode(&bytes) {
                None if value == 0 => return,
                None => (Some(version), 0),
                Some(held) if Some(held.holder) == self.holder || lease::is_expired(held.renewed_ns, now_ns) => {
                    (Some(version), held.value)
                }
                Some(_) => {
                    self.holder = None;
                    return;
                }
            },
        };
        let holder = self.holder.unwrap_or(now_ns);
        let held = Held {
            holder,
            renewed_ns: now_ns,
            value,
        };
        self.holder = self.write(&held.encode(), read, before, value, host).then_some(holder);
    }

    /// Takes the contribution back if this VM holds it. Another VM that still has the same acquires it.
    pub(crate) fn release(&mut self, host: &mut (impl SharedData + StatSink)) {
        let Some(holder) = self.holder.take() else { return };
        if let Some((bytes, version)) = host.get(&self.key)
            && let Some(held) = Held::decode(&bytes).filter(|held| held.holder == holder)
        {
            self.write(&FREE, Some(version), held.value, 0, host);
        }
    }

    fn write(
        &self,
        bytes: &[u8],
        read: Option<u32>,
        before: u64,
        after: u64,
        host: &mut (impl SharedData + StatSink),
    ) -> bool {
        let delta = lease::delta(after) - lease::delta(before);
        let change = self.gauge.filter(|_| delta != 0).map(|gauge| (gauge, delta));
        lease::write(&self.key, bytes, read, change.as_slice(), host)
    }
}

// === impl Held ===

impl Held {
    fn encode(&self) -> Vec<u8> {
        format!("{} {} {}", self.holder, self.renewed_ns, self.value).into_bytes()
    }

    /// `None` if nobody holds it.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut numbers = std::str::from_utf8(bytes).ok()?.split(' ').map(str::parse);
        Some(Self {
            holder: numbers.next()?.ok()?,
            renewed_ns: numbers.next()?.ok()?,
            value: numbers.next()?.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeHost;
    use crate::lease::HEARTBEAT_NS;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn contribution(key: &str) -> Contribution {
        Contribution::new(key.to_owned(), MetricId::FilterConfigErrors)
    }

    fn gauge(host: &FakeHost) -> i64 {
        host.value("infertally_filter_config_errors")
    }

    #[test]
    fn vms_with_the_same_configuration_contribute_once() {
        let mut host = FakeHost::default();
        let mut vms = [contribution("a"), contribution("a"), contribution("a")];
        for (vm, now) in vms.iter_mut().zip(1..) {
            vm.hold(3, now, &mut host);
        }
        contribution("b").hold(2, 9, &mut host);
        assert_eq!(gauge(&host), 5);
    }

    #[test]
    fn released_contribution_is_taken_over_by_a_vm_that_still_has_it() {
        let mut host = FakeHost::default();
        let (mut one, mut two) = (contribution("a"), contribution("a"));
        one.hold(3, 1, &mut host);
        two.hold(3, 2, &mut host);
        two.release(&mut host);
        assert_eq!(gauge(&host), 3);
        one.release(&mut host);
        assert_eq!(gauge(&host), 0);
        two.hold(3, 3, &mut host);
        assert_eq!(gauge(&host), 3);
        two.release(&mut host);
        assert_eq!(gauge(&host), 0);
    }

    #[test]
    fn contribution_of_a_dead_vm_changes_hands_and_not_its_value() {
        let mut host = FakeHost::default();
        let (mut dead, mut alive) = (contribution("a"), contribution("a"));
        dead.hold(3, 1, &mut host);
        for beat in 1..30 {
            alive.hold(3, beat * HEARTBEAT_NS, &mut host);
            assert_eq!(gauge(&host), 3);
        }
        // It only slept.
        dead.hold(4, 30 * HEARTBEAT_NS, &mut host);
        dead.release(&mut host);
        assert_eq!(gauge(&host), 3);
        alive.release(&mut host);
        assert_eq!(gauge(&host), 0);
    }

    #[test]
    fn value_follows_its_holder() {
        let mut host = FakeHost::default();
        let mut vm = contribution("a");
        for value in [0, 2, 5, 1, 0] {
            vm.hold(value, 1, &mut host);
            assert_eq!(gauge(&host), value as i64);
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod interleavings {
        use super::*;
        use crate::fakes::interleave::{Replay, Step, Vm, explore};

        fn hold(vm: &mut Contribution, host: &mut Replay<'_>) {
            vm.hold(3, 14 * HEARTBEAT_NS, host);
        }

        fn change(vm: &mut Contribution, host: &mut Replay<'_>) {
            vm.hold(5, 14 * HEARTBEAT_NS, host);
            vm.hold(3, 14 * HEARTBEAT_NS, host);
        }

        fn release(vm: &mut Contribution, host: &mut Replay<'_>) {
            vm.release(host);
        }

        /// The process slept past the lease of the first VM.
        #[test]
        fn gauge_is_exact_after_every_wake_up_order_of_three_vms() {
            let programs: [[&'static [Step<Contribution>]; 3]; 4] = [
                [&[hold], &[hold], &[hold]],
                [&[hold, release], &[hold], &[hold]],
                [&[release], &[change, release], &[hold]],
                [&[change], &[hold, change], &[hold, hold]],
            ];
            for programs in programs {
                let mut host = FakeHost::default();
                let mut vms = [contribution("a"), contribution("a"), contribution("a")];
                for (vm, now) in vms.iter_mut().zip(1..) {
                    vm.hold(3, now, &mut host);
                }
                host.forget_log();
                let mut programs = programs.into_iter();
                let vms = vms.map(|vm| Vm::new(vm, programs.next().unwrap()));
                let states = explore(host, vms, |mut host, mut vms| {
                    for vm in &mut vms {
                        vm.hold(3, 15 * HEARTBEAT_NS, &mut host);
                    }
                    assert_eq!(gauge(&host), 3);
                    for vm in &mut vms {
                        vm.release(&mut host);
                    }
                    assert_eq!(gauge(&host), 0);
                });
                assert!(states > 20, "{states} states");
            }
        }
    }
}
