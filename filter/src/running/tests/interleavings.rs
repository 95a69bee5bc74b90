//! Every wake-up order of three VMs, and the death of a VM at every host call.

use super::*;
use crate::fakes::interleave::{Replay, Step, Vm, explore};

/// Three VMs that run 2, 1 and 1 requests, all published at 1 s.
fn asleep() -> (FakeHost, [Running; 3]) {
    let mut host = FakeHost::default();
    let vms = [2, 1, 1].map(|requests| {
        let mut running = Running::default();
        for _ in 0..requests {
            start_request(&mut running, "a");
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
            vm.finish(model("a"));
        }
        vm.publish(22 * SECOND, &mut host);
    }
    assert_eq!(gauge(&host, "a"), 0);
}

fn beat(running: &mut Running, host: &mut Replay<'_>) {
    running.heartbeat(14 * SECOND, host);
}

fn start(running: &mut Running, host: &mut Replay<'_>) {
    start_request(running, "a");
    running.publish(14 * SECOND, host);
}

fn finish(running: &mut Running, host: &mut Replay<'_>) {
    running.finish(model("a"));
    running.publish(14 * SECOND, host);
}

#[test]
fn gauge_is_exact_after_every_wake_up_order_of_three_vms() {
    let programs: [[&'static [Step<Running>]; 3]; 5] = [
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
        let vms = vms.map(|running| Vm::new(running, programs.next().unwrap()));
        states += explore(host, vms, |host, vms| settle(host, vms, 4));
    }
    assert!(states > 10_000, "{states} states");
}

#[test]
fn share_and_gauge_agree_when_a_vm_dies_at_any_host_call() {
    let steps: [(&str, Step<Running>); 3] = [("beat", beat), ("start", start), ("finish", finish)];
    for (name, step) in steps {
        for calls in 0.. {
            let (mut host, [running, _, mut alive]) = asleep();
            let mut vm = Vm::new(running, Box::leak(Box::new([step])));
            let mut done = false;
            for _ in 0..calls {
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
