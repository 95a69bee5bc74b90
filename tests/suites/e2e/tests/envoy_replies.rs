//! Answers that Envoy makes itself: whatever stopped a request on its way, it counts once and has the code of the status
//! that the client got.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use std::net::SocketAddr;

use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM};
use infertally_harness::edits::{self, cluster, filter};
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::tally::Exchange;
use infertally_harness::{Result, client};
use infertally_sim::{Sim, SimConfig};

async fn sim() -> Sim {
    Sim::start(SimConfig::default()).await.unwrap()
}

/// A route for each thing that can go wrong; only paths that begin with `/v1` go to the model server.
fn everything_goes_wrong(config: EnvoyConfig, sim: SocketAddr) -> Result<EnvoyConfig> {
    let full = format!(
        "{}, circuit_breakers: {{thresholds: [{{max_pending_requests: 0, max_requests: 0}}]}}",
        cluster("full", sim.port())
    );
    let config = edits::clusters(
        config,
        &[
            &full,
            &cluster("refusing", 9),
            "name: nobody, load_assignment: {cluster_name: nobody}",
        ],
    )?;
    let config = edits::routes(
        config,
        &[
            "match: {prefix: /nobody}, route: {cluster: nobody}",
            "match: {prefix: /refusing}, route: {cluster: refusing}",
            "match: {prefix: /full}, route: {cluster: full}",
            "match: {prefix: /unnamed}, route: {cluster_header: x-cluster}",
            "match: {prefix: /slow/}, route: {cluster: model_server, prefix_rewrite: /, timeout: 0.2s}",
            "match: {prefix: /per-try/}, route: {cluster: model_server, prefix_rewrite: /, timeout: 0s, retry_policy: {num_retries: 2, retry_on: 5xx, per_try_timeout: 0.1s, retry_back_off: {base_interval: 0.001s}}}",
            "match: {prefix: /idle/}, route: {cluster: model_server, prefix_rewrite: /, timeout: 0s, idle_timeout: 0.2s}",
            "match: {prefix: /long/}, route: {cluster: model_server, prefix_rewrite: /, timeout: 0s, max_stream_duration: {max_stream_duration: 0.2s}}",
            "match: {prefix: /direct/403}, direct_response: {status: 403, body: {inline_string: go away}}",
            "match: {prefix: /direct/200}, direct_response: {status: 200, body: {inline_string: fine}}",
            "match: {prefix: /moved}, redirect: {path_redirect: /v1/completions}",
        ],
    )?;
    config.replace("- match: {prefix: /}\n", "- match: {prefix: /v1}\n")
}

#[tokio::test]
async fn what_envoy_answers_itself_has_the_code_of_its_status() {
    let sim = sim().await;
    let mut counted = Counted::start(sim.addr(), |config| everything_goes_wrong(config, sim.addr()))
        .await
        .unwrap();
    for (prefix, status, code) in [
        // After the whole request,
        ("/refusing", 503, Some("ServiceUnavailable")),
        ("/slow", 504, Some("Timeout")),
        ("/per-try", 504, Some("Timeout")),
        ("/idle", 504, Some("Timeout")),
        ("/long", 504, Some("Timeout")),
        // and at its headers.
        ("/nobody", 503, Some("ServiceUnavailable")),
        ("/full", 503, Some("ServiceUnavailable")),
        ("/unnamed", 503, Some("ServiceUnavailable")),
        ("/nowhere", 404, Some("NotFound")),
        ("/direct/403", 403, Some("Forbidden")),
        ("/direct/200", 200, None),
        ("/moved", 301, None),
    ] {
        for body in [PROMPT, STREAM] {
            let path = format!("{prefix}{COMPLETIONS}");
            let answer = counted.send(&path, "hang=headers", body).await.unwrap();
            assert_eq!(answer.status, status, "{path}");
            let exchange = Exchange {
                error: code,
                // Envoy shows no filter the body of a request that it has answered.
                request_bytes: (status == 504 || prefix == "/refusing").then_some(body.len() as u64),
                ..Exchange::answered(body, &answer)
            };
            counted
                .count(exchange)
                .await
                .unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_stream_that_envoy_gives_up_is_an_upstream_reset() {
    let sim = sim().await;
    let mut counted = Counted::start(sim.addr(), |config| everything_goes_wrong(config, sim.addr()))
        .await
        .unwrap();
    for prefix in ["/slow", "/idle", "/long"] {
        let path = format!("{prefix}{COMPLETIONS}");
        let answer = counted.send(&path, "hang=event:3", STREAM).await.unwrap();
        assert_eq!((answer.status, answer.whole), (200, false), "{path}");
        let exchange = Exchange::answered(STREAM, &answer).failed("UpstreamReset");
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[tokio::test]
async fn what_a_filter_behind_ours_refuses_has_the_code_of_its_status() {
    let sim = sim().await;
    let rate = r#", stat_prefix: rate, token_bucket: {max_tokens: 2, fill_interval: 3600s}, filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100}}"#;
    let denied = ", rules: {action: DENY, policies: {all: {permissions: [{header: {name: x-denied, present_match: true}}], principals: [{any: true}]}}}";
    for (filter, headers, first, status, code) in [
        (
            filter("local_ratelimit", "LocalRateLimit", rate),
            vec![],
            200,
            429,
            "ResourceExhausted",
        ),
        (
            filter("rbac", "RBAC", denied),
            vec![("x-denied", "yes")],
            403,
            403,
            "Forbidden",
        ),
        (
            filter("buffer", "Buffer", ", max_request_bytes: 32"),
            vec![],
            413,
            413,
            "BadRequest",
        ),
        (
            filter(
                "fault",
                "HTTPFault",
                ", abort: {http_status: 418, percentage: {numerator: 100}}",
            ),
            vec![],
            418,
            418,
            "BadRequest",
        ),
        (
            filter(
                "lua",
                "Lua",
                r#", default_source_code: {inline_string: "function envoy_on_request(handle) handle:body() handle:respond({[':status'] = '507'}, 'full') end"}"#,
            ),
            vec![],
            507,
            507,
            "ModelServerError",
        ),
    ] {
        let mut counted = Counted::start(sim.addr(), |config| edits::filter_after(config, &filter))
            .await
            .unwrap();
        for status in [first, first, status] {
            let request = client::request("POST", COMPLETIONS, &headers, PROMPT);
            let answer = client::exchange(counted.listener(), &request, usize::MAX)
                .await
                .unwrap()
                .answer;
            assert_eq!(answer.status, status, "{filter}");
            let exchange = match status {
                200 => Exchange::told(PROMPT, &answer),
                _ => Exchange::answered(PROMPT, &answer).failed(code),
            };
            let exchange = Exchange {
                // Refused at its headers: Envoy shows no filter the body.
                request_bytes: exchange.request_bytes.filter(|_| !matches!(status, 403 | 418 | 429)),
                ..exchange
            };
            counted
                .count(exchange)
                .await
                .unwrap_or_else(|error| panic!("{filter}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_body_that_envoy_cant_hold_is_refused_and_counted() {
    let sim = sim().await;
    // Both ask for whole bodies and get too much: of the request, of the answer. The one behind ours lets it pass the
    // filter in pieces; of the one in front ours sees what the client sent, all of it or none.
    let lua = |function: &str| {
        let code =
            format!(", default_source_code: {{inline_string: \"function {function}(handle) handle:body() end\"}}");
        filter("lua", "Lua", &code)
    };
    let small = |config: EnvoyConfig| {
        config.replace(
            "  - name: inference\n",
            "  - name: inference\n    per_connection_buffer_limit_bytes: 4096\n",
        )
    };
    let large = format!(
        r#"{{"model":"tiny","prompt":"{}","max_tokens":4}}"#,
        "word ".repeat(20_000)
    );

    let on_request = lua("envoy_on_request");
    let mut counted = Counted::start(sim.addr(), |config| edits::filter_after(small(config)?, &on_request))
        .await
        .unwrap();
    let answer = counted.send(COMPLETIONS, "", large.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 413);
    let exchange = Exchange {
        // How much of it came before the refusal is a matter of the sockets.
        request_bytes: None,
        ..Exchange::answered(large.as_bytes(), &answer)
    };
    counted.count(exchange.failed("BadRequest")).await.unwrap();

    let on_response = lua("envoy_on_response");
    let mut counted = Counted::start(sim.addr(), |config| edits::filter_after(small(config)?, &on_response))
        .await
        .unwrap();
    let answer = counted.send(COMPLETIONS, "token-bytes=100000", PROMPT).await.unwrap();
    assert_eq!(answer.status, 500);
    let exchange = Exchange {
        // Envoy says this past all filters.
        answer_bytes: Some(0),
        ..Exchange::answered(PROMPT, &answer)
    };
    counted.count(exchange.failed("ModelServerError")).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_a_filter_in_front_cant_hold_has_the_code_of_what_the_client_got() {
    let sim = sim().await;
    let code = r#", default_source_code: {inline_string: "function envoy_on_response(handle) handle:body() end"}"#;
    let mut counted = Counted::start(sim.addr(), |config| {
        let config = config.replace(
            "  - name: inference\n",
            "  - name: inference\n    per_connection_buffer_limit_bytes: 4096\n",
        )?;
        edits::filter_before(config, &filter("lua", "Lua", code))
    })
    .await
    .unwrap();
    let answer = counted
        .send(COMPLETIONS, "token-bytes=100000;usage=none", PROMPT)
        .await
        .unwrap();
    assert_eq!(answer.status, 500);
    let exchange = Exchange {
        // What passed the filter, not what Envoy said instead of it.
        answer_bytes: None,
        ..Exchange::answered(PROMPT, &answer)
    };
    counted.count(exchange.failed("ModelServerError")).await.unwrap();
}

#[tokio::test]
async fn what_a_filter_in_front_refuses_at_once_never_reaches_ours() {
    let sim = sim().await;
    let denied = ", rules: {action: DENY, policies: {all: {permissions: [{any: true}], principals: [{any: true}]}}}";
    for (filter, status) in [
        (filter("rbac", "RBAC", denied), 403),
        (filter("buffer", "Buffer", ", max_request_bytes: 32"), 413),
    ] {
        let counted = Counted::start(sim.addr(), |config| edits::filter_before(config, &filter))
            .await
            .unwrap();
        assert_eq!(counted.send(COMPLETIONS, "", PROMPT).await.unwrap().status, status);
        counted.nothing().await.unwrap();
    }
}

#[tokio::test]
async fn a_filter_in_front_that_holds_the_request_changes_no_number() {
    let sim = sim().await;
    let buffer = filter("buffer", "Buffer", ", max_request_bytes: 1000000");
    let mut counted = Counted::start(sim.addr(), |config| edits::filter_before(config, &buffer))
        .await
        .unwrap();
    let large = format!(
        r#"{{"model":"tiny","prompt":"{}","max_tokens":4}}"#,
        "word ".repeat(100_000)
    );
    for body in [PROMPT, STREAM, large.as_bytes()] {
        let answer = counted.send(COMPLETIONS, "", body).await.unwrap();
        counted.count(Exchange::told(body, &answer)).await.unwrap();
    }
}
