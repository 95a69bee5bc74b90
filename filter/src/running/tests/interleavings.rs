//! Every interleaving of three VMs, host call by host call, and the death of a VM at every host call.
//!
//! A VM's step depends only on its state and on the results of its host calls. So a step is run again and again from its
//! beginning: a [`Replay`] returns the results of the calls made so far, makes one more, and unwinds at the call after it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::shared::Version;

/// A step of a VM.
type Step = fn(&mut Running, &mut Replay<'_>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Output {
    Value(Option<(Vec<u8>, Version)>),
    Written(bool),
    Stat(Option<StatId>),
    None,
}

/// Passes on one host call more than the trace holds.
struct Replay<'a> {
    host: &'a mut FakeHost,
    trace: &'a mut Vec<Output>,
    at: usize,
    is_new: bool,
}

/// A VM in the middle of its steps.
#[derive(Clone)]
struct Vm {
    running: Running,
    steps: &'static [Step],
    trace: Vec<Output>,
}

/// Unwinds out of a step.
struct Suspended;

// === impl Replay ===

impl Replay<'_> {
    fn call(&mut self, call: impl FnOnce(&mut FakeHost) -> Output) -> Output {
        if let Some(output) = self.trace.get(self.at) {
            self.at += 1;
            return output.clone();
        }
        if std::mem::replace(&mut self.is_new, true) {
            resume_unwind(Box::new(Suspended));
        }
        let output = call(self.host);
        self.trace.push(output.clone());
        self.at += 1;
        output
    }
}

impl SharedData for Replay<'_> {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)> {
        match self.call(|host| Output::Value(host.get(key))) {
            Output::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    fn create(&mut self, key: &str, value: &[u8]) -> bool {
        self.call(|host| Output::Written(host.create(key, value))) == Output::Written(true)
    }

    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool {
        self.call(|host| Output::Written(host.replace(key, value, version))) == Output::Written(true)
    }
}

impl StatSink for Replay<'_> {
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId> {
        match self.call(|host| Output::Stat(host.define(kind, name))) {
            Output::Stat(stat) => stat,
            other => panic!("{other:?}"),
        }
    }

    fn add(&mut self, stat: StatId, delta: i64) {
        self.call(|host| {
            host.add(stat, delta);
            Output::None
        });
    }

    fn set_gauge(&mut self, _: StatId, _: u64) {
        panic!("a gauge of requests in flight is never set");
    }

    fn gauge(&mut self, _: StatId) -> u64 {
        panic!("a gauge of requests in flight is never read");
    }
}

// === impl Vm ===

impl Vm {
    /// Makes the next host call of the current step; also ends steps that make none.
    fn advance(&mut self, host: &mut FakeHost) {
        while let Some((step, rest)) = self.steps.split_first() {
            let mut running = self.running.clone();
            let mut replay = Replay {
                host: &mut *host,
                trace: &mut self.trace,
                at: 0,
                is_new: false,
            };
            let end = catch_unwind(AssertUnwindSafe(|| step(&mut running, &mut replay)));
            let is_new = replay.is_new;
            match end {
                Ok(()) => {
                    self.running = running;
                    self.steps = rest;
                    self.trace.clear();
                }
                Err(panic) if panic.is::<Suspended>() => return,
                Err(panic) => resume_unwind(panic),
            }
            if is_new {
                return;
            }
        }
    }
}

/// Runs every interleaving and passes the host and the VMs at the end of each to `check`. States that were reached before
/// are not explored again. Returns the number of states.
fn explore(host: FakeHost, vms: [Vm; 3], check: impl Fn(FakeHost, [Running; 3])) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![(host, vms)];
    while let Some((host, vms)) = open.pop() {
        let state = vms
            .each_ref()
            .map(|vm| (vm.steps.len(), vm.trace.clone(), format!("{:?}", vm.running)));
        let stats: Vec<_> = host.stats().into_values().collect();
        if !seen.insert((state, host.shared().clone(), stats)) {
            continue;
        }
        if vms.iter().all(|vm| vm.steps.is_empty()) {
            check(host.clone(), vms.clone().map(|vm| vm.running));
        }
        for index in 0..vms.len() {
            if !vms[index].steps.is_empty() {
                let (mut host, mut vms) = (host.clone(), vms.clone());
                vms[index].advance(&mut host);
                open.push((host, vms));
            }
        }
    }
    seen.len()
}

/// Three VMs that run 2, 1 and 1 requests, all published at 1 s.
fn asleep() -> (FakeHost, [Running; 3]) {
    let mut host = FakeHost::default();
    let vms = [2, 1, 1].map(|requests| {
        let mut running = Running::default();
        for _ in 0..requests {
            running.start(&model("a"));
        }
        running.publish(SECOND, &mut host);
        running
    });
    host.forget_log();
    (host, vms)
}

/// Lets all VMs beat until every slot was examined, holds the gauge against what runs, and finishes everything.
fn settle(mut host: FakeHost, mut vms: [Running; 3], running: i64) {
    for beat in 15..22 {
        for vm in &mut vms {
            vm.heartbeat(beat * SECOND, &mut host);
        }
        assert_eq!(gauge(&host, "a"), running);
    }
    for (vm, requests) in vms.iter_mut().zip([2, 1, 1]) {
        for _ in 0..requests {
            vm.finish(&model("a"));
        }
        vm.publish(22 * SECOND, &mut host);
    }
    assert_eq!(gauge(&host, "a"), 0);
}

fn beat(running: &mut Running, host: &mut Replay<'_>) {
    running.heartbeat(14 * SECOND, host);
}

fn start(running: &mut Running, host: &mut Replay<'_>) {
    running.start(&model("a"));
    running.publish(14 * SECOND, host);
}

fn finish(running: &mut Running, host: &mut Replay<'_>) {
    running.finish(&model("a"));
    running.publish(14 * SECOND, host);
}

#[test]
fn gauge_is_exact_after_every_wake_up_order_of_three_vms() {
    let programs: [[&'static [Step]; 3]; 5] = [
        [&[beat], &[beat], &[beat]],
        [&[finish, start], &[beat], &[beat]],
        [&[start, finish], &[finish, start], &[beat]],
        [&[beat, beat], &[finish, start], &[]],
        [&[beat, beat], &[start, finish, beat], &[beat, finish, start]],
    ];
    let mut states = 0;
    for programs in programs {
        let (host, vms) = asleep();
        let mut programs = programs.into_iter();
        let vms = vms.map(|running| Vm {
            running,
            steps: programs.next().unwrap(),
            trace: Vec::new(),
        });
        states += explore(host, vms, |host, vms| settle(host, vms, 4));
    }
    assert!(states > 10_000, "{states} states");
}

#[test]
fn share_and_gauge_agree_when_a_vm_dies_at_any_host_call() {
    let steps: [(&str, Step); 3] = [("beat", beat), ("start", start), ("finish", finish)];
    for (name, step) in steps {
        for calls in 0.. {
            let (mut host, [running, _, mut alive]) = asleep();
            let mut vm = Vm {
                running,
                steps: &[],
                trace: Vec::new(),
            };
            let steps = [step];
            let mut done = false;
            for _ in 0..calls {
                vm.steps = Box::leak(Box::new(steps));
                vm.advance(&mut host);
                done = vm.steps.is_empty();
                if done {
                    break;
                }
            }
            // Code that can trap runs before a `get` and a `define`; what changes share and gauge runs to its end.
            let in_between = matches!(host.log().last(), Some(&("add" | "replace" | "create"))) && !done;
            if !in_between {
                for beat in 30..40 {
                    alive.heartbeat(beat * SECOND, &mut host);
                }
                assert_eq!(
                    gauge(&host, "a"),
                    1,
                    "{name} dies after {calls} calls: {:?}",
                    host.log()
                );
            }
            if done {
                break;
            }
        }
    }
}
