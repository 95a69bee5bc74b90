//! How often a request crosses the boundary between Envoy and the VM: the figures of docs/performance.md.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test helper fails the test")]

use std::collections::BTreeMap;
use std::path::Path;

use infertally_filter::worker::TICK_NS;
use infertally_vm::{Costs, Exchange, Vm, small_json, stream};

const NAMES: &str =
    "model_name=.=meta-llama/Llama-3.1-8B-Instruct;.;target_model_name=.=meta-llama/Llama-3.1-8B-Instruct;.;";

/// What an exchange costs under load: the model is known, and the next tick publishes.
fn costs(exchange: &Exchange) -> Costs {
    let mut vm = Vm::start().unwrap();
    for number in 10..13 {
        exchange.run(&mut vm, number).unwrap();
    }
    vm.tick().unwrap();
    let costs = vm.costs(|vm| exchange.run(vm, 13)).unwrap();
    assert_eq!(vm.log(), [] as [&str; 0]);
    costs
}

/// The rows of the table below this line of docs/performance.md: name and number.
fn documented(line: &str) -> BTreeMap<String, u64> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/performance.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, below) = text.split_once(line).unwrap_or_else(|| panic!("no line {line:?}"));
    let rows = below.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (name, number) = (cells.next().unwrap(), cells.next().unwrap());
            (name.replace('`', ""), number.parse().unwrap())
        })
        .collect()
}

#[test]
fn small_exchange_crosses_as_often_as_documented() {
    let Costs {
        callbacks, host_calls, ..
    } = costs(&small_json());
    let counted: BTreeMap<_, _> = callbacks
        .into_iter()
        .chain(host_calls)
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    assert_eq!(counted, documented("Crossings of a small JSON exchange"));
}

#[test]
fn exchange_that_is_not_measured_costs_one_header() {
    for (method, path, headers) in [("GET", "/v1/models", 1), ("POST", "/v1/files", 3)] {
        let exchange = Exchange {
            method,
            path,
            ..small_json()
        };
        let costs = costs(&exchange);
        let calls: Vec<_> = costs
            .host_calls
            .into_iter()
            .filter(|(name, _)| name.starts_with("proxy"))
            .collect();
        assert_eq!(calls, [("proxy_get_header_map_value", headers)], "{method} {path}");
    }
}

#[test]
fn format_of_an_error_is_not_read() {
    let error = Exchange {
        status: 404,
        ..small_json()
    };
    let (error, success) = (costs(&error).host_calls, costs(&small_json()).host_calls);
    let headers = |calls: &BTreeMap<&str, u64>| calls["proxy_get_header_map_value"];
    let buffers = |calls: &BTreeMap<&str, u64>| calls["proxy_get_buffer_bytes"];
    assert_eq!(
        headers(&success) - headers(&error),
        2,
        "content-type and content-encoding"
    );
    assert_eq!(buffers(&success) - buffers(&error), 1, "the response's body");
}

#[test]
fn event_of_a_stream_costs_one_callback_and_one_buffer() {
    let exchange = stream(100);
    let mut vm = Vm::start().unwrap();
    exchange.run(&mut vm, 10).unwrap();
    exchange.start(&mut vm, 11).unwrap();
    exchange.body(&mut vm, 11, 0..10).unwrap();
    let costs = vm.costs(|vm| exchange.body(vm, 11, 10..60)).unwrap();
    assert_eq!(costs.callbacks, BTreeMap::from([("proxy_on_response_body", 50)]));
    assert_eq!(
        costs.host_calls,
        BTreeMap::from([("(allocate a returned value)", 50), ("proxy_get_buffer_bytes", 50)])
    );
}

#[test]
fn body_is_read_once_in_pieces_of_64_kib() {
    let mut exchange = small_json();
    let text = "x".repeat(300 * 1024);
    exchange.request = format!(r#"{{"messages": [{{"content": "{text}"}}], "model": "m"}}"#).into_bytes();
    let calls = costs(&exchange).host_calls;
    assert_eq!(calls["proxy_get_buffer_bytes"], 5 + 1);
}

#[test]
fn interpreted_filter_counts_what_was_sent() {
    let mut vm = Vm::start().unwrap();
    for number in 0..7 {
        small_json().run(&mut vm, 10 + 2 * number).unwrap();
        stream(40).run(&mut vm, 11 + 2 * number).unwrap();
    }
    vm.pass(TICK_NS);
    vm.tick().unwrap();
    for (name, value) in [
        ("inference_model_request_total", 14),
        ("inference_model_request_sizes_count", 14),
        ("inference_model_input_tokens_sum", 14 * 24),
        ("inference_model_output_tokens_sum", 7 * (16 + 40)),
        ("finish_reason=.=length;.;inference_model_finish_reason_total", 14),
        ("source=.=reported;.;inference_model_usage_total", 14),
    ] {
        assert_eq!(vm.stat(&format!("{NAMES}{name}")), value, "{name}");
    }
    let running = "model_name=.=meta-llama/Llama-3.1-8B-Instruct;.;inference_model_running_requests";
    assert_eq!(vm.stat(running), 0);
}

#[test]
fn stream_that_is_logged_and_one_that_is_only_deleted_are_both_recorded_once() {
    let mut vm = Vm::start().unwrap();
    let exchange = small_json();
    exchange.run(&mut vm, 10).unwrap();
    // HTTP/3: no `proxy_on_log`.
    exchange.start(&mut vm, 11).unwrap();
    exchange.body(&mut vm, 11, 0..1).unwrap();
    vm.delete(11).unwrap();
    vm.pass(TICK_NS);
    vm.tick().unwrap();
    assert_eq!(vm.stat(&format!("{NAMES}inference_model_request_total")), 2);
}

#[test]
fn root_context_that_is_deleted_publishes_and_its_streams_are_still_recorded() {
    let mut vm = Vm::start().unwrap();
    let exchange = small_json();
    for stream in [10, 11] {
        exchange.run(&mut vm, stream).unwrap();
    }
    exchange.start(&mut vm, 12).unwrap();
    vm.delete_root().unwrap();
    let requests = format!("{NAMES}inference_model_request_total");
    assert_eq!(vm.stat(&requests), 2);
    exchange.body(&mut vm, 12, 0..1).unwrap();
    Exchange::end(&mut vm, 12).unwrap();
    assert_eq!(vm.stat(&requests), 3);
}
