use super::*;
use crate::fakes::FakeHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(not(target_arch = "wasm32"))]
mod interleavings;

const SECOND: u64 = 1_000_000_000;

fn gauge(host: &FakeHost, model: &str) -> i64 {
    host.value(&format!("model_name=.={model};.;inference_model_running_requests"))
}

/// The number of a name of one letter.
fn model(name: &str) -> ModelId {
    ModelId::new(name.bytes().map(|letter| u32::from(letter - b'a')).sum())
}

fn start_request(running: &mut Running, name: &str) {
    running.start(model(name), || ModelLabel::new(name.as_bytes()));
}

#[test]
fn gauge_counts_requests_in_flight() {
    let mut host = FakeHost::default();
    let (mut one, mut two) = (Running::default(), Running::default());
    start_request(&mut one, "a");
    one.publish(1, &mut host);
    start_request(&mut one, "b");
    one.publish(2, &mut host);
    start_request(&mut two, "a");
    two.publish(3, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (2, 1));
    one.finish(model("a"));
    one.publish(4, &mut host);
    two.finish(model("a"));
    two.publish(5, &mut host);
    one.finish(model("b"));
    one.publish(6, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (0, 0));
}

#[test]
fn model_has_a_gauge_even_if_no_request_was_ever_published() {
    let mut host = FakeHost::default();
    let mut running = Running::default();
    start_request(&mut running, "a");
    running.finish(model("a"));
    running.publish(1, &mut host);
    assert_eq!(host.stats().into_values().collect::<Vec<_>>(), [0]);
    assert_eq!(host.log(), ["define"]);
}

#[test]
fn finish_without_start_changes_nothing() {
    let mut host = FakeHost::default();
    let mut running = Running::default();
    running.finish(model("a"));
    running.publish(1, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
}

#[test]
fn share_of_a_dead_vm_is_taken_back_once() {
    let mut host = FakeHost::default();
    let mut dead = Running::default();
    let mut alive = [Running::default(), Running::default()];
    for _ in 0..3 {
        start_request(&mut dead, "a");
        dead.publish(SECOND, &mut host);
    }
    start_request(&mut alive[0], "a");
    alive[0].publish(SECOND, &mut host);
    drop(dead);
    for beat in 1..=30 {
        for running in &mut alive {
            running.heartbeat(beat * SECOND, &mut host);
        }
        // The lease expires after beat 11, and a beat examines one of two slots.
        match beat {
            ..=11 => assert_eq!(gauge(&host, "a"), 4, "beat {beat}"),
            12 => assert!([1, 4].contains(&gauge(&host, "a"))),
            13.. => assert_eq!(gauge(&host, "a"), 1, "beat {beat}"),
        }
    }
    alive[0].finish(model("a"));
    alive[0].publish(31 * SECOND, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
}

#[test]
fn freed_slot_is_reused() {
    let mut host = FakeHost::default();
    for round in 0..100 {
        let now = round * 20 * SECOND;
        let mut running = Running::default();
        running.heartbeat(now, &mut host);
        start_request(&mut running, "a");
        running.publish(now, &mut host);
    }
    assert!(host.get("infertally.running.2").is_none());
    assert_eq!(gauge(&host, "a"), 1);
}

#[test]
fn delayed_vm_restores_its_share() {
    let mut host = FakeHost::default();
    let (mut slow, mut other) = (Running::default(), Running::default());
    start_request(&mut slow, "a");
    slow.publish(SECOND, &mut host);
    start_request(&mut slow, "a");
    slow.publish(SECOND, &mut host);
    other.heartbeat(60 * SECOND, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
    // The slot has a new holder by the time the slow VM resumes.
    start_request(&mut other, "b");
    other.publish(60 * SECOND, &mut host);
    slow.finish(model("a"));
    slow.publish(61 * SECOND, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (1, 1));
    slow.finish(model("a"));
    slow.publish(62 * SECOND, &mut host);
    other.finish(model("b"));
    other.publish(62 * SECOND, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (0, 0));
}

#[test]
fn heartbeat_reads_two_keys_whatever_the_number_of_vms() {
    let mut host = FakeHost::default();
    let mut vms: Vec<_> = (0..64).map(|_| Running::default()).collect();
    for running in &mut vms {
        start_request(running, "a");
        running.publish(SECOND, &mut host);
    }
    for beat in 2..5 {
        let before = host.calls("get");
        for running in &mut vms {
            running.heartbeat(beat * SECOND, &mut host);
        }
        // The last VM finds no slot after its own, and begins with the first.
        assert!(host.calls("get") - before <= 2 * 64 + 1, "beat {beat}");
    }
}

#[test]
fn one_beat_of_all_vms_examines_every_slot() {
    let mut host = FakeHost::default();
    let mut vms: Vec<_> = (0..64).map(|_| Running::default()).collect();
    for running in &mut vms {
        start_request(running, "a");
        running.publish(SECOND, &mut host);
    }
    // Every fourth VM dies.
    let mut alive: Vec<_> = vms
        .into_iter()
        .enumerate()
        .filter(|(index, _)| index % 4 != 2)
        .map(|(_, vm)| vm)
        .collect();
    for beat in 2..=11 {
        for running in &mut alive {
            running.heartbeat(beat * SECOND, &mut host);
        }
        assert_eq!(gauge(&host, "a"), 64);
    }
    for running in &mut alive {
        running.heartbeat(12 * SECOND, &mut host);
    }
    assert_eq!(gauge(&host, "a"), 48);
}
