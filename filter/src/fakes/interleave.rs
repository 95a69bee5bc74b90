//! Every interleaving of three VMs, host call by host call.
//!
//! A VM's step depends only on its state and on the results of its host calls. So a step is run again and again from its
//! beginning: a [`Replay`] returns the results of the calls made so far, makes one more, and unwinds at the call after it.
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test helper fails the test"
)]

use std::collections::HashSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::FakeHost;
use crate::shared::{SharedData, StatId, StatKind, StatSink, Version};

/// A step of a VM whose state is an `S`.
pub(crate) type Step<S> = fn(&mut S, &mut Replay<'_>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Output {
    Value(Option<(Vec<u8>, Version)>),
    Written(bool),
    Stat(Option<StatId>),
    None,
}

/// Passes on one host call more than the trace holds.
pub(crate) struct Replay<'a> {
    host: &'a mut FakeHost,
    trace: &'a mut Vec<Output>,
    at: usize,
    is_new: bool,
}

/// A VM in the middle of its steps.
#[derive(Clone)]
pub(crate) struct Vm<S: 'static> {
    pub(crate) state: S,
    pub(crate) steps: &'static [Step<S>],
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
        panic!("a gauge that several VMs change is never set");
    }

    fn gauge(&mut self, _: StatId) -> u64 {
        panic!("a gauge that several VMs change is never read");
    }
}

// === impl Vm ===

impl<S: Clone + Debug> Vm<S> {
    pub(crate) fn new(state: S, steps: &'static [Step<S>]) -> Self {
        Self {
            state,
            steps,
            trace: Vec::new(),
        }
    }

    /// Makes the next host call of the current step; also ends steps that make none.
    pub(crate) fn advance(&mut self, host: &mut FakeHost) {
        while let Some((step, rest)) = self.steps.split_first() {
            let mut state = self.state.clone();
            let mut replay = Replay {
                host: &mut *host,
                trace: &mut self.trace,
                at: 0,
                is_new: false,
            };
            let end = catch_unwind(AssertUnwindSafe(|| step(&mut state, &mut replay)));
            let is_new = replay.is_new;
            match end {
                Ok(()) => {
                    self.state = state;
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
pub(crate) fn explore<S: Clone + Debug>(host: FakeHost, vms: [Vm<S>; 3], check: impl Fn(FakeHost, [S; 3])) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![(host, vms)];
    while let Some((host, vms)) = open.pop() {
        let state = vms
            .each_ref()
            .map(|vm| (vm.steps.len(), vm.trace.clone(), format!("{:?}", vm.state)));
        let stats: Vec<_> = host.stats().into_values().collect();
        if !seen.insert((state, host.shared().clone(), stats)) {
            continue;
        }
        if vms.iter().all(|vm| vm.steps.is_empty()) {
            check(host.clone(), vms.clone().map(|vm| vm.state));
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
