//! A response that a filter in front of ours replaces after its last byte has passed ours, as a guardrail does: what the
//! client got decides if that filter asked a service. One that decides at once can't be told from none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM};
use infertally_harness::edits;
use infertally_harness::expected::requests;
use infertally_harness::stats::Stats;
use infertally_harness::tally::Exchange;
use infertally_sim::{Sim, SimConfig};

/// A Lua filter in front of ours that reads the whole response, does this, and replaces its status.
async fn guarded(then: &str) -> (Sim, Counted) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let lua = format!(
        r#"name: envoy.filters.http.lua, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {{inline_string: "function envoy_on_response(handle) handle:body() {then} handle:headers():replace(':status', '403') end"}}}}"#
    );
    let counted = Counted::start(sim.addr(), |config| edits::filter_before(config, &lua))
        .await
        .unwrap();
    (sim, counted)
}

const ASK: &str =
    "handle:httpCall('model_server', {[':method'] = 'GET', [':path'] = '/health', [':authority'] = 'guard'}, '', 5000)";

#[tokio::test]
async fn response_that_a_service_rejected_is_an_error_with_the_status_that_the_client_got() {
    let (_sim, mut counted) = guarded(ASK).await;
    for body in [PROMPT, STREAM] {
        let response = counted.send(COMPLETIONS, "", body).await.unwrap();
        assert_eq!(response.status, 403);
        counted
            .count(Exchange::told(body, &response).failed("Forbidden"))
            .await
            .unwrap();
    }
}

/// It is recorded once, usually as the model server sent it; docs/metrics.md says so.
#[tokio::test]
async fn response_that_was_replaced_at_once_is_recorded_once() {
    let (_sim, counted) = guarded("").await;
    let response = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(response.status, 403);
    let once = |stats: &Stats| match requests(stats) {
        1 => Ok(()),
        count => Err(format!("{count} requests")),
    };
    counted.envoy().scrape_until(once).await.unwrap();
    counted.running(0).await.unwrap();
}
