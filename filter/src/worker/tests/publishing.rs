//! When a worker publishes, and with how many host calls.

use std::collections::BTreeMap;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const REQUEST: &[u8] = br#"{"model":"a"}"#;
const RESPONSE: &str = r#"{"model":"a","choices":[{"finish_reason":"stop"}],
                           "usage":{"prompt_tokens":5,"completion_tokens":8}}"#;

fn exchange(worker: &mut Worker, host: &mut FakeHost, now_ns: u64) {
    let mut exchange = Exchange::new(Api::Chat, now_ns, None);
    exchange.request_body(REQUEST.len());
    exchange.read_request(REQUEST);
    exchange.request_end();
    worker.resolve_label(&mut exchange, host);
    exchange.response_headers(200, Some(b"application/json"), None);
    exchange.response_body(RESPONSE.len());
    exchange.read_response(RESPONSE.as_bytes());
    exchange.response_end(now_ns);
    worker.resolve_label(&mut exchange, host);
    worker.finish(&mut exchange, now_ns, BY_UPSTREAM, host);
}

fn requests(host: &FakeHost) -> i64 {
    host.value("model_name=.=a;.;target_model_name=.=a;.;inference_model_request_total")
}

fn worker(host: &mut FakeHost) -> Worker {
    let mut worker = Worker::new(Config::default());
    let (config, _) = Config::parse(br#"{"models":["a"]}"#);
    worker.configure(config, 0, &[], 0, host);
    worker
}

/// The calls by name.
fn calls(log: &[&'static str]) -> BTreeMap<&'static str, usize> {
    let mut calls = BTreeMap::new();
    for call in log {
        *calls.entry(*call).or_default() += 1;
    }
    calls
}

#[test]
fn quiet_worker_publishes_at_the_end_of_an_exchange() {
    let mut host = FakeHost::default();
    let mut worker = worker(&mut host);
    for number in 1..4 {
        exchange(&mut worker, &mut host, number * TICK_NS);
        assert_eq!(requests(&host), number as i64);
    }
}

#[test]
fn busy_worker_publishes_with_the_tick() {
    let mut host = FakeHost::default();
    let mut worker = worker(&mut host);
    for number in 0..50 {
        exchange(&mut worker, &mut host, TICK_NS + number);
    }
    assert_eq!(requests(&host), 1);
    worker.tick(TICK_NS + 50, 0, &mut host);
    assert_eq!(requests(&host), 50);
}

#[test]
fn end_and_new_configuration_publish_everything() {
    let mut host = FakeHost::default();
    let mut worker = worker(&mut host);
    for number in 0..5 {
        exchange(&mut worker, &mut host, TICK_NS + number);
    }
    worker.configure(Config::default(), 0, &[], TICK_NS + 5, &mut host);
    assert_eq!(requests(&host), 5);
    for number in 6..10 {
        exchange(&mut worker, &mut host, TICK_NS + number);
    }
    worker.end(TICK_NS + 10, &mut host);
    assert_eq!(requests(&host), 9);
    // No tick follows.
    for number in 10..13 {
        exchange(&mut worker, &mut host, TICK_NS + number + 1);
        assert_eq!(requests(&host), number as i64);
    }
}

#[test]
fn small_json_exchange_makes_no_host_call_under_load() {
    let mut host = FakeHost::default();
    let mut worker = worker(&mut host);
    exchange(&mut worker, &mut host, TICK_NS);
    let before = host.log().len();
    for number in 0..100 {
        exchange(&mut worker, &mut host, TICK_NS + number);
    }
    assert_eq!(host.log()[before..], [] as [&str; 0]);
    // All hundred together cost what one did.
    worker.tick(TICK_NS + 100, 0, &mut host);
    let adds = calls(&host.log()[before..])["add"];
    assert!(adds < 150, "{adds} increments");
}

#[test]
fn host_calls_of_a_quiet_small_json_exchange_are_as_documented() {
    let mut host = FakeHost::default();
    let mut worker = worker(&mut host);
    exchange(&mut worker, &mut host, TICK_NS);
    let before = host.log().len();
    exchange(&mut worker, &mut host, 2 * TICK_NS);
    // No shared data: a request that starts and ends between two publishings never was in the gauge.
    assert_eq!(calls(&host.log()[before..]), BTreeMap::from([("add", 140)]));
}

#[test]
fn configuration_errors_of_all_filters_add_up() {
    let mut host = FakeHost::default();
    let errors = |host: &FakeHost| host.value("infertally_filter_config_errors");
    let mut vms: Vec<_> = (0..6).map(|_| Worker::new(Config::default())).collect();
    for (index, vm) in vms.iter_mut().enumerate() {
        let (count, text): (_, &[u8]) = if index % 2 == 0 { (2, b"first") } else { (3, b"second") };
        vm.configure(Config::default(), count, &[b"infertally", text], 1, &mut host);
    }
    assert_eq!(errors(&host), 0, "Envoy discards the first VM that it configures");
    for vm in &mut vms {
        vm.tick(2, 0, &mut host);
    }
    assert_eq!(errors(&host), 5);
    for vm in vms.iter_mut().step_by(2) {
        vm.configure(Config::default(), 0, &[b"infertally", b"fixed"], 3, &mut host);
        vm.tick(4, 0, &mut host);
    }
    assert_eq!(errors(&host), 3);
    for vm in vms.iter_mut() {
        vm.end(5, &mut host);
    }
    assert_eq!(errors(&host), 0);
}
