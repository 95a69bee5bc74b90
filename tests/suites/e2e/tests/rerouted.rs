//! One request of a client is one exchange, however often Envoy sends it: tried again, redirected inside, mirrored. The
//! outcome that counts is the client's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use infertally_harness::counted::{COMPLETIONS, Counted, PROMPT, STREAM, tiny_admitted};
use infertally_harness::edits::{self, cluster};
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::Wire;
use infertally_harness::{Result, eventually};
use infertally_sim::{Sim, SimConfig};

const GOOD: &str = r#"{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

fn good() -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    )
}

/// A server that fails so many times, in this way, and then answers well.
async fn failing(times: usize, with: &'static str) -> Upstream {
    Upstream::answering(move |mut wire: Wire, _, before| async move {
        let failure = before < times;
        wire.send(if failure { with.to_owned() } else { good() }).await?;
        // With nothing to say it closes the connection.
        Ok(Some(wire).filter(|_| !failure || !with.is_empty()))
    })
    .await
    .unwrap()
}

async fn retrying(upstream: &Upstream) -> Counted {
    Counted::start(upstream.addr(), |config| {
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
async fn a_request_that_is_tried_again_counts_once_with_its_last_outcome() {
    for (with, tries) in [
        (UNAVAILABLE, 4),
        ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 3),
        ("", 2),
    ] {
        let upstream = failing(tries - 1, with).await;
        let mut counted = retrying(&upstream).await;
        let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
        assert_eq!((answer.status, upstream.requests().len()), (200, tries), "{with}");
        let exchange = Exchange::answered(PROMPT, &answer).tokens(3, 4);
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{with}: {error}"));
    }
}

#[tokio::test]
async fn a_request_that_fails_at_every_try_fails_once() {
    let upstream = failing(usize::MAX, UNAVAILABLE).await;
    let mut counted = retrying(&upstream).await;
    for round in 1..=2 {
        let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
        assert_eq!((answer.status, upstream.requests().len()), (503, 4 * round));
        let exchange = Exchange::answered(PROMPT, &answer).failed("ServiceUnavailable");
        counted.count(exchange).await.unwrap();
    }
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_no_timeout_where_the_next_one_answers() {
    let upstream = Upstream::answering(|mut wire: Wire, _, before| async move {
        if before == 0 {
            wire.closed().await?;
            return Ok(None);
        }
        wire.send(good()).await.map(|()| Some(wire))
    })
    .await
    .unwrap();
    let mut counted = retrying(&upstream).await;
    let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(answer.status, 200);
    // On a busy machine the second try may take too long, too.
    assert!(upstream.requests().len() >= 2);
    counted
        .count(Exchange::answered(PROMPT, &answer).tokens(3, 4))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_between_two_tries_is_no_error() {
    let upstream = failing(usize::MAX, UNAVAILABLE).await;
    let mut counted = Counted::start(upstream.addr(), |config| {
        edits::route_action(
            tiny_admitted(config)?,
            "retry_policy: {retry_on: 5xx, num_retries: 3, retry_back_off: {base_interval: 30s, max_interval: 30s}}",
        )
    })
    .await
    .unwrap();
    let mut wire = Wire::connect(counted.listener()).await.unwrap();
    wire.send(infertally_harness::client::request("POST", COMPLETIONS, &[], PROMPT))
        .await
        .unwrap();
    // The wait before the second try is random between nothing and its interval, so there may have been one.
    eventually(|| async {
        if upstream.requests().is_empty() {
            Err("no try yet".into())
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
    counted.running(1).await.unwrap();
    drop(wire);
    counted.count(Exchange::left(PROMPT.len(), 0)).await.unwrap();
}

#[tokio::test]
async fn a_request_that_envoy_redirects_inside_counts_once() {
    for (status, location) in [
        (302, "/v1/chat/completions"),
        (307, "/v1/completions/elsewhere"),
        (302, "/v1/completions"),
    ] {
        let upstream = Upstream::answering(move |mut wire: Wire, _, before| async move {
            let moved =
                format!("HTTP/1.1 {status} Moved\r\nlocation: http://test{location}\r\ncontent-length: 0\r\n\r\n");
            wire.send(if before == 0 { moved } else { good() })
                .await
                .map(|()| Some(wire))
        })
        .await
        .unwrap();
        let mut counted = Counted::start(upstream.addr(), |config| {
            edits::route_action(
                tiny_admitted(config)?,
                "internal_redirect_policy: {redirect_response_codes: [302, 307]}",
            )
        })
        .await
        .unwrap();
        let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
        assert_eq!(
            (answer.status, upstream.requests().len()),
            (200, 2),
            "{status} {location}"
        );
        let exchange = Exchange::answered(PROMPT, &answer).tokens(3, 4);
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{status} to {location}: {error}"));
    }
}

#[tokio::test]
async fn a_redirect_that_the_client_gets_is_no_error() {
    let moved = "HTTP/1.1 307 Moved\r\nlocation: http://test/v1/completions\r\ncontent-length: 0\r\n\r\n";
    let upstream = Upstream::saying(moved).await.unwrap();
    let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
    let answer = counted.send(COMPLETIONS, "", PROMPT).await.unwrap();
    assert_eq!(answer.status, 307);
    counted.count(Exchange::answered(PROMPT, &answer)).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_mirrored_counts_once_whatever_the_mirror_says() -> Result<()> {
    let sim = Sim::start(SimConfig::default()).await?;
    for says in [UNAVAILABLE.to_owned(), good(), String::new()] {
        let mirror = Upstream::saying(says).await?;
        let mut counted = Counted::start(sim.addr(), |config| {
            let config = edits::clusters(config, &[&cluster("mirror", mirror.addr().port())])?;
            edits::route_action(config, "request_mirror_policies: [{cluster: mirror}]")
        })
        .await?;
        for body in [PROMPT, STREAM] {
            let answer = counted.send(COMPLETIONS, "", body).await?;
            counted.count(Exchange::told(body, &answer)).await?;
        }
        eventually(|| async {
            match mirror.requests().len() {
                2 => Ok(()),
                seen => Err(format!("{seen} requests were mirrored").into()),
            }
        })
        .await?;
        counted.hold().await?;
    }
    Ok(())
}
