//! Streams in every form that servers and networks produce: reported tokens count exactly once, and the size has every
//! byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy};
use infertally_oracle::Measured;
use infertally_sim::{Sim, SimConfig};

const CHAT: &str = "/v1/chat/completions";

async fn simulated() -> (Sim, CheckedEnvoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = CheckedEnvoy::start(sim.addr(), Ok).await.unwrap();
    (sim, envoy)
}

/// A streaming request of each API; `more` are further keys.
fn requests(tokens: usize, more: &str) -> [(&'static str, String); 2] {
    let options = format!(r#""max_tokens":{tokens},"stream":true,{more}"model":"tiny""#);
    [
        (COMPLETIONS, format!(r#"{{"prompt":"a b c d e",{options}}}"#)),
        (
            CHAT,
            format!(r#"{{"messages":[{{"role":"user","content":"a b c d e"}}],{options}}}"#),
        ),
    ]
}

const USAGE: &str = r#""stream_options":{"include_usage":true},"#;
const CONTINUOUS: &str = r#""stream_options":{"include_usage":true,"continuous_usage_stats":true},"#;

/// Sends them, and checks the numbers against those in the simulator's headers.
async fn check_counted_once(envoy: &mut CheckedEnvoy, behaviour: &str, tokens: usize, more: &str) {
    for (path, body) in requests(tokens, more) {
        let response = envoy.send(path, behaviour, body.as_bytes()).await.unwrap();
        assert!(response.status == 200 && response.complete, "{behaviour}: {response:?}");
        let exchange = Measured::simulated(body.as_bytes(), &response);
        assert!(exchange.input_tokens == Some(5) && exchange.output_tokens.is_some());
        envoy
            .check_after(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour} for {body}: {error}"));
    }
}

/// Sends them, and checks that no token is counted.
async fn check_no_tokens(envoy: &mut CheckedEnvoy, behaviour: &str, more: &str) {
    for (path, body) in requests(9, more) {
        let response = envoy.send(path, behaviour, body.as_bytes()).await.unwrap();
        assert!(response.status == 200 && response.complete, "{behaviour}: {response:?}");
        envoy
            .check_after(Measured::response(body.as_bytes(), &response))
            .await
            .unwrap_or_else(|error| panic!("{behaviour} for {body}: {error}"));
    }
}

#[tokio::test]
async fn tokens_count_once_in_every_form_of_a_stream() {
    let (_sim, mut envoy) = simulated().await;
    for behaviour in [
        "",
        "eol=lf",
        "eol=crlf",
        "eol=cr",
        "bom=yes",
        "space=no",
        "comments=yes",
        "last-blank=no",
        "done=no",
        "done=no;last-blank=no",
        "chunk=1",
        "chunk=7",
        "chunk=all",
        "usage=early",
        "usage=repeat",
        "usage=null",
        "usage=early;done=no;eol=cr",
        "usage=repeat;chunk=all",
        "tokens-per-event=4",
        "tokens-per-event=100",
        "eol=cr;space=no;comments=yes;bom=yes;chunk=1",
        "eol=crlf;last-blank=no;chunk=1",
        "eol=cr;done=no;last-blank=no;chunk=all",
        "token-bytes=0",
        "gap=1ms;comments=yes",
    ] {
        check_counted_once(&mut envoy, behaviour, 9, USAGE).await;
    }
}

#[tokio::test]
async fn continuous_usage_counts_as_its_last_report_and_never_as_a_sum() {
    let (_sim, mut envoy) = simulated().await;
    for behaviour in [
        "",
        "chunk=1",
        "chunk=all",
        "tokens-per-event=3",
        "usage=repeat",
        "eol=crlf;space=no",
    ] {
        check_counted_once(&mut envoy, behaviour, 20, CONTINUOUS).await;
    }
}

#[tokio::test]
async fn continuous_usage_counts_as_far_as_a_stream_was_received() {
    let (_sim, mut envoy) = simulated().await;
    let [(path, body), _] = requests(9, CONTINUOUS);
    for events in [1, 5, 8] {
        let behaviour = format!("cut=event:{events}");
        let response = envoy.send(path, &behaviour, body.as_bytes()).await.unwrap();
        let exchange = Measured::response(body.as_bytes(), &response).tokens(5, events);
        envoy.check_after(exchange.failed("UpstreamReset")).await.unwrap();
    }
}

#[tokio::test]
async fn several_choices_have_one_usage() {
    let (_sim, mut envoy) = simulated().await;
    for n in [2, 5] {
        for (more, behaviour) in [
            (USAGE, ""),
            (CONTINUOUS, "tokens-per-event=2"),
            (USAGE, "chunk=11;eol=crlf"),
        ] {
            check_counted_once(&mut envoy, behaviour, 6, &format!(r#"{more}"n":{n},"#)).await;
        }
    }
}

#[tokio::test]
async fn tokens_that_are_not_reported_are_not_counted() {
    let (_sim, mut envoy) = simulated().await;
    for (behaviour, more) in [
        ("", ""),
        ("chunk=1", r#""stream_options":{},"#),
        ("", r#""stream_options":null,"#),
        ("", r#""stream_options":{"include_usage":null},"#),
        (
            "",
            r#""stream_options":{"include_usage":false,"continuous_usage_stats":true},"#,
        ),
        ("usage=none", USAGE),
        ("usage=none;done=no", CONTINUOUS),
    ] {
        check_no_tokens(&mut envoy, behaviour, more).await;
    }
}

#[tokio::test]
async fn include_usage_is_true_in_every_form_that_servers_accept() {
    let (_sim, mut envoy) = simulated().await;
    for yes in [r#""true""#, r#""yes""#, "1", r#""on""#] {
        check_counted_once(
            &mut envoy,
            "",
            3,
            &format!(r#""stream_options":{{"include_usage":{yes}}},"#),
        )
        .await;
    }
}

#[tokio::test]
async fn hundreds_of_events_in_one_chunk_are_read() {
    let (_sim, mut envoy) = simulated().await;
    for more in [USAGE, CONTINUOUS] {
        check_counted_once(&mut envoy, "chunk=all", 800, more).await;
        check_counted_once(&mut envoy, "comments=yes", 300, more).await;
    }
}

#[tokio::test]
async fn an_event_of_a_megabyte_is_read() {
    let (_sim, mut envoy) = simulated().await;
    for behaviour in [
        "token-bytes=1000000",
        "token-bytes=1000000;chunk=all",
        "token-bytes=1000000;chunk=65537;eol=crlf;bom=yes",
    ] {
        check_counted_once(&mut envoy, behaviour, 2, USAGE).await;
    }
    // And a document of three.
    let body = br#"{"model":"tiny","prompt":"a b c d e","max_tokens":3}"#;
    let response = envoy.send(COMPLETIONS, "token-bytes=1000000", body).await.unwrap();
    assert!(response.body.len() > 3_000_000);
    envoy.check_after(Measured::simulated(body, &response)).await.unwrap();
}
