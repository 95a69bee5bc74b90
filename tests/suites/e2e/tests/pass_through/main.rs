//! The filter changes, holds and loses nothing: any exchange through an Envoy with it is, at the client and at the
//! server, byte for byte what it is through the same Envoy without it, whatever version of HTTP the client speaks.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
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
use infertally_harness::expected::requests;
use infertally_harness::message::{Framing, Message};
use infertally_harness::{Result, edits};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use stage::{LAST, Seen, Stage, part};
use tokio::time::timeout;

/// How many exchanges are drawn.
const CASES: u32 = 80;
/// Time for one exchange. Also the shrinking of a failure waits so long each time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer that the server breaks off, Envoy may keep back what it has not written yet; not of one so small.
const WRITTEN_AT_ONCE: usize = 8 * 1024;

/// Both ends have what the other one sent.
fn complete(case: &Case, seen: &Seen) -> std::result::Result<(), String> {
    let asked = case.request.body.bytes();
    let answered = case.answer_body();
    if let Some(Cut::Client(at)) = case.cut {
        let sent = [part(&asked, at), LAST].concat();
        return equal("the part of the request", &seen.server.body, &sent);
    }
    if !seen.server.whole {
        return Err("the request has no end".into());
    }
    equal("the request", &seen.server.body, &asked)?;
    let Some(client) = &seen.client else {
        return Ok(());
    };
    match case.breaks_at() {
        None if client.whole => equal("the answer", &client.body, &answered),
        None => Err("the answer has no end".into()),
        // Where the connection's end is the answer's, nobody can tell that it was broken off.
        Some(_) if client.whole && client.framing != Framing::Close => Err("the answer has an end".into()),
        Some(at) if at <= WRITTEN_AT_ONCE => equal("the part of the answer", &client.body, &answered[..at]),
        Some(at) => {
            let came = client.body.len().min(at);
            equal("the part of the answer", &client.body, &answered[..came])
        }
    }
}

fn equal(what: &str, seen: &[u8], sent: &[u8]) -> std::result::Result<(), String> {
    if seen == sent {
        return Ok(());
    }
    let at = seen.iter().zip(sent).take_while(|(seen, sent)| seen == sent).count();
    Err(format!(
        "{what} differs at byte {at}: {} of {} bytes came",
        seen.len(),
        sent.len()
    ))
}

/// Bodies are long to print, so they come last.
fn same(plain: &Seen, filtered: &Seen) -> std::result::Result<(), TestCaseError> {
    let parts = |message: &Message| {
        let Message {
            line,
            headers,
            framing,
            body: _,
            trailers,
            whole,
        } = message.clone();
        (line, headers, framing, trailers, whole)
    };
    proptest::prop_assert_eq!(parts(&filtered.server), parts(&plain.server));
    proptest::prop_assert_eq!(filtered.client.as_ref().map(parts), plain.client.as_ref().map(parts));
    proptest::prop_assert!(filtered == plain, "the bodies differ");
    Ok(())
}

/// What may differ between two runs of one Envoy is made equal.
fn comparable(case: &Case, mut seen: Seen) -> Seen {
    if let (Some(at), Some(client)) = (case.breaks_at(), &mut seen.client)
        && at > WRITTEN_AT_ONCE
    {
        client.body.clear();
    }
    seen
}

fn all_forms(config: EnvoyConfig) -> Result<EnvoyConfig> {
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
        let with = Envoy::start(&binaries, stage.upstream.addr(), 1, all_forms)
            .await
            .unwrap();
        let without = Envoy::start(&binaries, stage.upstream.addr(), 1, |config| {
            edits::without_the_filter(all_forms(config)?)
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
    // The filter was there and saw them.
    let saw = runtime.block_on(with.scrape_until(|stats| match requests(stats) {
        seen if seen == measured.get() => Ok(()),
        seen => Err(format!("{seen} requests, must be {}", measured.get())),
    }));
    saw.unwrap();
    assert!(measured.get() > 10);
    assert_eq!(with.log().matches("wasm").count(), 0, "{}", with.log());
}
