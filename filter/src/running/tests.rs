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
fn the_gauge_rises_and_falls_with_the_requests() {
    let mut host = FakeHost::default();
    let (mut one, mut two) = (Running::default(), Running::default());
    one.begin(&model("a"), 1, &mut host);
    one.begin(&model("b"), 2, &mut host);
    two.begin(&model("a"), 3, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (2, 1));
    one.end(&model("a"), 4, &mut host);
    two.end(&model("a"), 5, &mut host);
    one.end(&model("b"), 6, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (0, 0));
}

#[test]
fn an_end_without_a_beginning_lowers_nothing() {
    let mut host = FakeHost::default();
    Running::default().end(&model("a"), 1, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
}

#[test]
fn a_dead_vms_share_is_given_back_once() {
    let mut host = FakeHost::default();
    let mut dead = Running::default();
    let mut alive = [Running::default(), Running::default()];
    for _ in 0..3 {
        dead.begin(&model("a"), SECOND, &mut host);
    }
    alive[0].begin(&model("a"), SECOND, &mut host);
    drop(dead);
    for beat in 1..=30 {
        for running in &mut alive {
            running.beat(beat * SECOND, &mut host);
        }
        let expected = if beat * SECOND - SECOND > DEAD_AFTER_NS { 1 } else { 4 };
        assert_eq!(gauge(&host, "a"), expected, "beat {beat}");
    }
    alive[0].end(&model("a"), 31 * SECOND, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
}

#[test]
fn a_slot_given_back_is_used_again() {
    let mut host = FakeHost::default();
    for round in 0..100 {
        let now = round * 20 * SECOND;
        let mut running = Running::default();
        running.beat(now, &mut host);
        running.begin(&model("a"), now, &mut host);
    }
    assert!(host.get("infertally.running.2").is_none());
    assert_eq!(gauge(&host, "a"), 1);
}

#[test]
fn a_vm_that_was_only_held_up_keeps_its_share() {
    let mut host = FakeHost::default();
    let (mut slow, mut other) = (Running::default(), Running::default());
    slow.begin(&model("a"), SECOND, &mut host);
    slow.begin(&model("a"), SECOND, &mut host);
    other.beat(60 * SECOND, &mut host);
    assert_eq!(gauge(&host, "a"), 0);
    // The slot has a new tenant by the time the slow one wakes up.
    other.begin(&model("b"), 60 * SECOND, &mut host);
    slow.end(&model("a"), 61 * SECOND, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (1, 1));
    slow.end(&model("a"), 62 * SECOND, &mut host);
    other.end(&model("b"), 62 * SECOND, &mut host);
    assert_eq!((gauge(&host, "a"), gauge(&host, "b")), (0, 0));
}
