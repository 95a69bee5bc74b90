//! Envoy's local replies: whatever rejects a request on its way, it counts once and has the code of the status that the
//! client received.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use std::net::SocketAddr;

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, STREAM};
use infertally_harness::edits::{self, cluster, filter};
use infertally_harness::envoy::EnvoyConfig;
use infertally_harness::{Result, client};
use infertally_oracle::{Measured, Outcome};
use infertally_sim::{Sim, SimConfig};

async fn sim() -> Sim {
    Sim::start(SimConfig::default()).await.unwrap()
}

/// A route for each failure; only paths that begin with `/v1` go to the model server.
fn failing_routes(config: EnvoyConfig, sim: SocketAddr) -> Result<EnvoyConfig> {
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
            "match: {prefix: /direct/403}, direct_response: {status: 403, body: {inline_string: no entry}}",
            "match: {prefix: /direct/200}, direct_response: {status: 200, body: {inline_string: fine}}",
            "match: {prefix: /moved}, redirect: {path_redirect: /v1/completions}",
        ],
    )?;
    config.replace("- match: {prefix: /}\n", "- match: {prefix: /v1}\n")
}

#[tokio::test]
async fn a_local_reply_has_the_code_of_its_status() {
    let sim = sim().await;
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| failing_routes(config, sim.addr()))
        .await
        .unwrap();
    for (prefix, status, code) in [
        // After the complete request,
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
            let response = envoy.send(&path, "hang=headers", body).await.unwrap();
            assert_eq!(response.status, status, "{path}");
            let exchange = Measured {
                outcome: code.map_or(Outcome::Success, Outcome::Failed),
                // After its local reply Envoy passes no filter the request's body.
                request_bytes: (status == 504 || prefix == "/refusing").then_some(body.len() as u64),
                ..Measured::response(body, &response)
            };
            envoy
                .check_after(exchange)
                .await
                .unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_stream_that_envoy_times_out_is_an_upstream_reset() {
    let sim = sim().await;
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| failing_routes(config, sim.addr()))
        .await
        .unwrap();
    for prefix in ["/slow", "/idle", "/long"] {
        let path = format!("{prefix}{COMPLETIONS}");
        let response = envoy.send(&path, "hang=event:3", STREAM).await.unwrap();
        assert_eq!((response.status, response.complete), (200, false), "{path}");
        let exchange = Measured::response(STREAM, &response).failed("UpstreamReset");
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[tokio::test]
async fn a_rejection_by_a_filter_behind_infertally_has_the_code_of_its_status() {
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
        let mut envoy = CheckedEnvoy::start(sim.addr(), |config| edits::filter_after(config, &filter))
            .await
            .unwrap();
        for status in [first, first, status] {
            let request = client::request("POST", COMPLETIONS, &headers, PROMPT);
            let response = client::exchange(envoy.listener(), &request, usize::MAX)
                .await
                .unwrap()
                .response;
            assert_eq!(response.status, status, "{filter}");
            let exchange = match status {
                200 => Measured::simulated(PROMPT, &response),
                _ => Measured::response(PROMPT, &response).failed(code),
            };
            let exchange = Measured {
                // Rejected at its headers, so that no filter gets the body.
                request_bytes: exchange.request_bytes.filter(|_| !matches!(status, 403 | 418 | 429)),
                ..exchange
            };
            envoy
                .check_after(exchange)
                .await
                .unwrap_or_else(|error| panic!("{filter}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_body_beyond_envoys_buffer_limit_is_rejected_and_counted() {
    let sim = sim().await;
    // Both buffer a complete body, which is too large: the request's, and the response's.
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
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| edits::filter_after(small(config)?, &on_request))
        .await
        .unwrap();
    let response = envoy.send(COMPLETIONS, "", large.as_bytes()).await.unwrap();
    assert_eq!(response.status, 413);
    let exchange = Measured {
        // How much was received before the rejection depends on the sockets.
        request_bytes: None,
        ..Measured::response(large.as_bytes(), &response)
    };
    envoy.check_after(exchange.failed("BadRequest")).await.unwrap();

    let on_response = lua("envoy_on_response");
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| edits::filter_after(small(config)?, &on_response))
        .await
        .unwrap();
    let response = envoy.send(COMPLETIONS, "token-bytes=100000", PROMPT).await.unwrap();
    assert_eq!(response.status, 500);
    let exchange = Measured {
        // Envoy's reply bypasses all filters.
        response_bytes: Some(0),
        ..Measured::response(PROMPT, &response)
    };
    envoy.check_after(exchange.failed("ModelServerError")).await.unwrap();
}

#[tokio::test]
async fn a_response_beyond_the_buffer_limit_of_a_filter_in_front_has_the_code_that_the_client_received() {
    let sim = sim().await;
    let code = r#", default_source_code: {inline_string: "function envoy_on_response(handle) handle:body() end"}"#;
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| {
        let config = config.replace(
            "  - name: inference\n",
            "  - name: inference\n    per_connection_buffer_limit_bytes: 4096\n",
        )?;
        edits::filter_before(config, &filter("lua", "Lua", code))
    })
    .await
    .unwrap();
    let response = envoy
        .send(COMPLETIONS, "token-bytes=100000;usage=none", PROMPT)
        .await
        .unwrap();
    assert_eq!(response.status, 500);
    let exchange = Measured {
        // What passed the filter, not Envoy's reply in its place.
        response_bytes: None,
        ..Measured::response(PROMPT, &response)
    };
    envoy.check_after(exchange.failed("ModelServerError")).await.unwrap();
}

#[tokio::test]
async fn a_rejection_by_a_filter_in_front_is_not_measured() {
    let sim = sim().await;
    let denied = ", rules: {action: DENY, policies: {all: {permissions: [{any: true}], principals: [{any: true}]}}}";
    for (filter, status) in [
        (filter("rbac", "RBAC", denied), 403),
        (filter("buffer", "Buffer", ", max_request_bytes: 32"), 413),
    ] {
        let envoy = CheckedEnvoy::start(sim.addr(), |config| edits::filter_before(config, &filter))
            .await
            .unwrap();
        assert_eq!(envoy.send(COMPLETIONS, "", PROMPT).await.unwrap().status, status);
        envoy.check_no_series().await.unwrap();
    }
}

#[tokio::test]
async fn a_filter_in_front_that_buffers_the_request_changes_no_number() {
    let sim = sim().await;
    let buffer = filter("buffer", "Buffer", ", max_request_bytes: 1000000");
    let mut envoy = CheckedEnvoy::start(sim.addr(), |config| edits::filter_before(config, &buffer))
        .await
        .unwrap();
    let large = format!(
        r#"{{"model":"tiny","prompt":"{}","max_tokens":4}}"#,
        "word ".repeat(100_000)
    );
    for body in [PROMPT, STREAM, large.as_bytes()] {
        let response = envoy.send(COMPLETIONS, "", body).await.unwrap();
        envoy.check_after(Measured::simulated(body, &response)).await.unwrap();
    }
}
