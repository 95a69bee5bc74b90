//! The filter changes, delays and loses nothing: for every client's version of HTTP, any exchange through an Envoy with it
//! is byte for byte the same, at the client and at the server, as through that Envoy without it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

mod cases;
mod client;
mod draw;
mod stage;

use std::time::Duration;

use cases::{Case, Cut};
use client::Client;
use draw::cases;
use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig};
use infertally_harness::message::{Framing, Message};
use infertally_harness::{Result, edits};
use infertally_oracle::totals::requests;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use stage::{LAST, Seen, Stage, part};
use tokio::time::timeout;

/// Cases for each client.
const CASES: u32 = 80;
/// Limit of one exchange; shrinking a failure waits this long for each.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a response that the server cuts off, Envoy may drop what it has not written yet, but not of one this small.
const WRITTEN_AT_ONCE: usize = 8 * 1024;

/// Checks that both ends received what the other one sent.
fn complete(case: &Case, seen: &Seen) -> std::result::Result<(), String> {
    let request = case.request.body.bytes();
    let response = case.response_body();
    if let Some(Cut::Client(at)) = case.cut {
        let sent = [part(&request, at), LAST].concat();
        return equal("the part of the request", &seen.server.body, &sent);
    }
    if !seen.server.complete {
        return Err("the request has no end".into());
    }
    equal("the request", &seen.server.body, &request)?;
    let Some(client) = &seen.client else {
        return Ok(());
    };
    match case.breaks_at() {
        None if client.complete => equal("the response", &client.body, &response),
        None => Err("the response has no end".into()),
        // A response that ends with its connection cannot be seen to be cut off.
        Some(_) if client.complete && client.framing != Framing::Close => Err("the response has an end".into()),
        Some(at) if at <= WRITTEN_AT_ONCE => equal("the part of the response", &client.body, &response[..at]),
        Some(at) => {
            let received = client.body.len().min(at);
            equal("the part of the response", &client.body, &response[..received])
        }
    }
}

fn equal(what: &str, seen: &[u8], sent: &[u8]) -> std::result::Result<(), String> {
    if seen == sent {
        return Ok(());
    }
    let at = seen.iter().zip(sent).take_while(|(seen, sent)| seen == sent).count();
    Err(format!(
        "{what} differs at byte {at}: received {} of {} bytes",
        seen.len(),
        sent.len()
    ))
}

/// Bodies are compared last, because they are long to print.
fn same(plain: &Seen, filtered: &Seen) -> std::result::Result<(), TestCaseError> {
    let parts = |message: &Message| {
        let Message {
            line,
            headers,
            framing,
            body: _,
            trailers,
            complete,
        } = message.clone();
        (line, headers, framing, trailers, complete)
    };
    proptest::prop_assert_eq!(parts(&filtered.server), parts(&plain.server));
    proptest::prop_assert_eq!(filtered.client.as_ref().map(parts), plain.client.as_ref().map(parts));
    proptest::prop_assert!(filtered == plain, "the bodies differ");
    Ok(())
}

/// Removes what may differ between two runs of one Envoy.
fn comparable(case: &Case, mut seen: Seen) -> Seen {
    if let (Some(at), Some(client)) = (case.breaks_at(), &mut seen.client)
        && at > WRITTEN_AT_ONCE
    {
        client.body.clear();
    }
    seen
}

fn all_options(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let options = "http_protocol_options: {enable_trailers: true, accept_http_10: true}";
    let config = edits::connection_manager(config, options)?;
    let http1 = edits::HTTP2.replace(
        "http2_protocol_options: {}",
        "http_protocol_options: {enable_trailers: true}",
    );
    edits::model_server(config, &http1)
}

#[test]
fn any_exchange_is_the_same_with_the_filter_and_without() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut stage, with, without) = runtime.block_on(async {
        let stage = Stage::new().await;
        let binaries = Binaries::from_env().unwrap();
        let with = Envoy::start(&binaries, stage.upstream.addr(), 1, all_options)
            .await
            .unwrap();
        let without = Envoy::start(&binaries, stage.upstream.addr(), 1, |config| {
            edits::without_infertally(all_options(config)?)
        })
        .await
        .unwrap();
        (stage, with, without)
    });
    let stage = std::cell::RefCell::new(&mut stage);
    let measured = std::cell::Cell::new(0u64);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 200,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let check = |case: Case| {
        let mut stage = stage.borrow_mut();
        let mut run = |envoy: &Envoy| {
            let seen = runtime
                .block_on(async { timeout(PATIENCE, stage.run(envoy, &case)).await? })
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            complete(&case, &seen).map_err(TestCaseError::fail)?;
            Ok::<_, TestCaseError>(comparable(&case, seen))
        };
        let plain = run(&without)?;
        let filtered = run(&with)?;
        if case.method == "POST" && case.path.contains("/v1/") && !case.path.contains("/v1/models") {
            measured.set(measured.get() + 1);
        }
        same(&plain, &filtered)
    };
    for client in Client::ALL {
        if let Err(error) = TestRunner::new(config.clone()).run(&cases(client), check) {
            panic!("{error}\n{}", with.log());
        }
    }
    // The filter measured all of them.
    let counted = runtime.block_on(with.scrape_until(|stats| match requests(stats) {
        seen if seen == measured.get() => Ok(()),
        seen => Err(format!("{seen} requests, must be {}", measured.get())),
    }));
    counted.unwrap();
    assert!(measured.get() > 10);
    assert_eq!(with.log().matches("wasm").count(), 0, "{}", with.log());
}
