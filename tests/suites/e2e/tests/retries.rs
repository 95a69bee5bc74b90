//! Retries, internal redirects and mirrors: a client's request is one exchange however often Envoy sends it, and has the
//! outcome that the client received.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy, PROMPT, STREAM, tiny_admitted};
use infertally_harness::connection::Connection;
use infertally_harness::edits::{self, cluster};
use infertally_harness::upstream::Upstream;
use infertally_harness::{Result, eventually};
use infertally_oracle::Measured;
use infertally_sim::{Sim, SimConfig};

const GOOD: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

fn success() -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    )
}

/// A server that fails with these bytes for the first requests, and then succeeds.
async fn failing(times: usize, with: &'static str) -> Upstream {
    Upstream::responding(move |mut connection: Connection, _, before| async move {
        let failure = before < times;
        connection
            .send(if failure { with.to_owned() } else { success() })
            .await?;
        // Without bytes it closes the connection.
        Ok(Some(connection).filter(|_| !failure || !with.is_empty()))
    })
    .await
    .unwrap()
}

async fn retrying(upstream: &Upstream) -> CheckedEnvoy {
    CheckedEnvoy::start(upstream.addr(), |config| {
        edits::route_action(
            tiny_admitted(config)?,
            "retry_policy: {retry_on: '5xx,reset', num_retries: 3, per_try_timeout: 1s, retry_back_off: {base_interval: 0.001s}}",
        )
    })
    .await
    .unwrap()
}

const UNAVAILABLE: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";

#[tokio::test]
async fn a_retried_request_counts_once_with_its_last_outcome() {
    for (with, tries) in [
        (UNAVAILABLE, 4),
        ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 3),
        ("", 2),
    ] {
        let upstream = failing(tries - 1, with).await;
        let mut envoy = retrying(&upstream).await;
        let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
        assert_eq!((response.status, upstream.requests().len()), (200, tries), "{with}");
        let exchange = Measured::response(PROMPT, &response).tokens(3, 4);
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{with}: {error}"));
    }
}

#[tokio::test]
async fn a_request_that_fails_at_every_attempt_is_one_error() {
    let upstream = failing(usize::MAX, UNAVAILABLE).await;
    let mut envoy = retrying(&upstream).await;
    for round in 1..=2 {
        let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
        assert_eq!((response.status, upstream.requests().len()), (503, 4 * round));
        let exchange = Measured::response(PROMPT, &response).failed("ServiceUnavailable");
        envoy.check_after(exchange).await.unwrap();
    }
}

#[tokio::test]
async fn an_attempt_that_times_out_is_no_error_if_a_retry_succeeds() {
    let upstream = Upstream::responding(|mut connection: Connection, _, before| async move {
        if before == 0 {
            connection.wait_for_close().await?;
            return Ok(None);
        }
        connection.send(success()).await.map(|()| Some(connection))
    })
    .await
    .unwrap();
    let mut envoy = retrying(&upstream).await;
    let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(response.status, 200);
    // On a busy machine the second attempt may time out, too.
    assert!(upstream.requests().len() >= 2);
    envoy
        .check_after(Measured::response(PROMPT, &response).tokens(3, 4))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_disconnect_between_two_attempts_is_no_error() {
    let upstream = failing(usize::MAX, UNAVAILABLE).await;
    let mut envoy = CheckedEnvoy::start(upstream.addr(), |config| {
        edits::route_action(
            tiny_admitted(config)?,
            "retry_policy: {retry_on: 5xx, num_retries: 3, retry_back_off: {base_interval: 30s, max_interval: 30s}}",
        )
    })
    .await
    .unwrap();
    let mut connection = Connection::connect(envoy.listener()).await.unwrap();
    connection
        .send(infertally_harness::client::request("POST", COMPLETIONS, &[], PROMPT))
        .await
        .unwrap();
    // The backoff is random between 0 and its interval, so that there may be a second attempt.
    eventually(|| async {
        if upstream.requests().is_empty() {
            Err("no attempt yet".into())
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
    envoy.wait_for_running(1).await.unwrap();
    drop(connection);
    envoy.check_after(Measured::cancelled(PROMPT.len(), 0)).await.unwrap();
}

#[tokio::test]
async fn an_internal_redirect_counts_once() {
    for (status, location) in [
        (302, "/v1/chat/completions"),
        (307, "/v1/completions/elsewhere"),
        (302, "/v1/completions"),
    ] {
        let upstream = Upstream::responding(move |mut connection: Connection, _, before| async move {
            let moved =
                format!("HTTP/1.1 {status} Moved\r\nlocation: http://test{location}\r\ncontent-length: 0\r\n\r\n");
            connection
                .send(if before == 0 { moved } else { success() })
                .await
                .map(|()| Some(connection))
        })
        .await
        .unwrap();
        let mut envoy = CheckedEnvoy::start(upstream.addr(), |config| {
            edits::route_action(
                tiny_admitted(config)?,
                "internal_redirect_policy: {redirect_response_codes: [302, 307]}",
            )
        })
        .await
        .unwrap();
        let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
        assert_eq!(
            (response.status, upstream.requests().len()),
            (200, 2),
            "{status} {location}"
        );
        let exchange = Measured::response(PROMPT, &response).tokens(3, 4);
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{status} to {location}: {error}"));
    }
}

#[tokio::test]
async fn a_redirect_of_the_client_is_no_error() {
    let moved = "HTTP/1.1 307 Moved\r\nlocation: http://test/v1/completions\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::replying(moved).await.unwrap();
    let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
    let response = envoy.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(response.status, 307);
    envoy.check_after(Measured::response(PROMPT, &response)).await.unwrap();
}

#[tokio::test]
async fn a_mirrored_request_counts_once_whatever_the_mirror_responds() -> Result<()> {
    let sim = Sim::start(SimConfig::default()).await?;
    for response in [UNAVAILABLE.to_owned(), success(), String::new()] {
        let mirror = Upstream::replying(response).await?;
        let mut envoy = CheckedEnvoy::start(sim.addr(), |config| {
            let config = edits::clusters(config, &[&cluster("mirror", mirror.addr().port())])?;
            edits::route_action(config, "request_mirror_policies: [{cluster: mirror}]")
        })
        .await?;
        for body in [PROMPT, STREAM] {
            let response = envoy.send(COMPLETIONS, "", body).await?;
            envoy.check_after(Measured::simulated(body, &response)).await?;
        }
        eventually(|| async {
            match mirror.requests().len() {
                2 => Ok(()),
                seen => Err(format!("{seen} requests were mirrored").into()),
            }
        })
        .await?;
        envoy.check().await?;
    }
    Ok(())
}
