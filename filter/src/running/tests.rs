use super::*;
use crate::fakes::FakeHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;

fn gauge(host: &FakeHost, model: &str) -> i64 {
    host.value(&format!("model_name=.={model};.;inference_model_running_requests"))
}

fn model(name: &str) -> ModelLabel {
    ModelLabel::new(name.as_bytes())
}

#[test]
fn gauge_counts_requests_in_flight() {
    let mut host = FakeHost::default();
    let (mut one, mut two) = (Running::default(), Running::default());
    one.start(&model("a"), 1, &mut host);
    one.start(&model("b"), 2, &mut host);
    two.start(&model("a"), 3, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (2, 1));
    one.finish(&model("a"), 4, &mut host);
    two.finish(&model("a"), 5, &mut host);
    one.finish(&model("b"), 6, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (0, 0));
}

#[test]
fn finish_without_start_changes_nothing() {
    let mut host = FakeHost::default();
    Running::default().finish(&model("a"), 1, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
}

#[test]
fn share_of_a_dead_vm_is_taken_back_once() {
    let mut host = FakeHost::default();
    let mut dead = Running::default();
    let mut alive = [Running::default(), Running::default()];
    for _ in 0..3 {
        dead.start(&model("a"), SECOND, &mut host);
    }
    alive[0].start(&model("a"), SECOND, &mut host);
    drop(dead);
    for beat in 1..=30 {
        for running in &mut alive {
            running.heartbeat(beat * SECOND, &mut host);
        }
        let expected = if beat * SECOND - SECOND > LEASE_NS { 1 } else { 4 };
        assert_eq!(gauge(&host, "a"), expected, "beat {beat}");
    }
    alive[0].finish(&model("a"), 31 * SECOND, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
}

#[test]
fn freed_slot_is_reused() {
    let mut host = FakeHost::default();
    for round in 0..100 {
        let now = round * 20 * SECOND;
        let mut running = Running::default();
        running.heartbeat(now, &mut host);
        running.start(&model("a"), now, &mut host);
    }
    assert!(host.get("infertally.running.2").is_none());
    assert_eq!(gauge(&host, "a"), 1);
}

#[test]
fn delayed_vm_restores_its_share() {
    let mut host = FakeHost::default();
    let (mut slow, mut other) = (Running::default(), Running::default());
    slow.start(&model("a"), SECOND, &mut host);
    slow.start(&model("a"), SECOND, &mut host);
    other.heartbeat(60 * SECOND, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
    // The slot has a new holder by the time the slow VM resumes.
    other.start(&model("b"), 60 * SECOND, &mut host);
    slow.finish(&model("a"), 61 * SECOND, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (1, 1));
    slow.finish(&model("a"), 62 * SECOND, &mut host);
    other.finish(&model("b"), 62 * SECOND, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (0, 0));
}
