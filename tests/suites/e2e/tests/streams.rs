//! Streams in every form that servers and networks give them: tokens count exactly once, as the server reports them,
//! and every byte is in the size.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use infertally_harness::counted::{COMPLETIONS, Counted};
use infertally_harness::tally::Exchange;
use infertally_sim::{Sim, SimConfig};

const CHAT: &str = "/v1/chat/completions";

async fn simulated() -> (Sim, Counted) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let counted = Counted::start(sim.addr(), Ok).await.unwrap();
    (sim, counted)
}

/// A request for a stream over each API; `more` are further keys.
fn requests(tokens: usize, more: &str) -> [(&'static str, String); 2] {
    let asked = format!(r#""max_tokens":{tokens},"stream":true,{more}"model":"tiny""#);
    [
        (COMPLETIONS, format!(r#"{{"prompt":"a b c d e",{asked}}}"#)),
        (
            CHAT,
            format!(r#"{{"messages":[{{"role":"user","content":"a b c d e"}}],{asked}}}"#),
        ),
    ]
}

const USAGE: &str = r#""stream_options":{"include_usage":true},"#;
const CONTINUOUS: &str = r#""stream_options":{"include_usage":true,"continuous_usage_stats":true},"#;

/// Sends them, and holds the numbers against what the server says that it reported.
async fn told_once(counted: &mut Counted, behaviour: &str, tokens: usize, more: &str) {
    for (path, body) in requests(tokens, more) {
        let answer = counted.send(path, behaviour, body.as_bytes()).await.unwrap();
        assert!(answer.status == 200 && answer.whole, "{behaviour}: {answer:?}");
        let exchange = Exchange::told(body.as_bytes(), &answer);
        assert!(exchange.input == Some(5) && exchange.output.is_some());
        counted
            .count(exchange)
            .await
            .unwrap_or_else(|error| panic!("{behaviour} for {body}: {error}"));
    }
}

/// Sends them, and holds that no token is counted.
async fn nothing_told(counted: &mut Counted, behaviour: &str, more: &str) {
    for (path, body) in requests(9, more) {
        let answer = counted.send(path, behaviour, body.as_bytes()).await.unwrap();
        assert!(answer.status == 200 && answer.whole, "{behaviour}: {answer:?}");
        counted
            .count(Exchange::answered(body.as_bytes(), &answer))
            .await
            .unwrap_or_else(|error| panic!("{behaviour} for {body}: {error}"));
    }
}

#[tokio::test]
async fn tokens_count_once_in_every_form_of_a_stream() {
    let (_sim, mut counted) = simulated().await;
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
        told_once(&mut counted, behaviour, 9, USAGE).await;
    }
}

#[tokio::test]
async fn usage_with_every_event_is_the_last_and_never_the_sum() {
    let (_sim, mut counted) = simulated().await;
    for behaviour in [
        "",
        "chunk=1",
        "chunk=all",
        "tokens-per-event=3",
        "usage=repeat",
        "eol=crlf;space=no",
    ] {
        told_once(&mut counted, behaviour, 20, CONTINUOUS).await;
    }
}

#[tokio::test]
async fn usage_with_every_event_counts_as_far_as_a_broken_stream_came() {
    let (_sim, mut counted) = simulated().await;
    let [(path, body), _] = requests(9, CONTINUOUS);
    for events in [1, 5, 8] {
        let behaviour = format!("cut=event:{events}");
        let answer = counted.send(path, &behaviour, body.as_bytes()).await.unwrap();
        let exchange = Exchange::answered(body.as_bytes(), &answer).tokens(5, events);
        counted.count(exchange.failed("UpstreamReset")).await.unwrap();
    }
}

#[tokio::test]
async fn choices_side_by_side_share_one_usage() {
    let (_sim, mut counted) = simulated().await;
    for n in [2, 5] {
        for (more, behaviour) in [
            (USAGE, ""),
            (CONTINUOUS, "tokens-per-event=2"),
            (USAGE, "chunk=11;eol=crlf"),
        ] {
            told_once(&mut counted, behaviour, 6, &format!(r#"{more}"n":{n},"#)).await;
        }
    }
}

#[tokio::test]
async fn tokens_that_are_not_reported_are_not_counted() {
    let (_sim, mut counted) = simulated().await;
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
        nothing_told(&mut counted, behaviour, more).await;
    }
}

#[tokio::test]
async fn what_clients_write_for_true_is_true() {
    let (_sim, mut counted) = simulated().await;
    for yes in [r#""true""#, r#""yes""#, "1", r#""on""#] {
        told_once(
            &mut counted,
            "",
            3,
            &format!(r#""stream_options":{{"include_usage":{yes}}},"#),
        )
        .await;
    }
}

#[tokio::test]
async fn hundreds_of_events_in_one_write_all_count() {
    let (_sim, mut counted) = simulated().await;
    for more in [USAGE, CONTINUOUS] {
        told_once(&mut counted, "chunk=all", 800, more).await;
        told_once(&mut counted, "comments=yes", 300, more).await;
    }
}

#[tokio::test]
async fn an_event_of_a_megabyte_is_read_like_any_other() {
    let (_sim, mut counted) = simulated().await;
    for behaviour in [
        "token-bytes=1000000",
        "token-bytes=1000000;chunk=all",
        "token-bytes=1000000;chunk=65537;eol=crlf;bom=yes",
    ] {
        told_once(&mut counted, behaviour, 2, USAGE).await;
    }
    // And a document of some.
    let body = br#"{"model":"tiny","prompt":"a b c d e","max_tokens":3}"#;
    let answer = counted.send(COMPLETIONS, "token-bytes=1000000", body).await.unwrap();
    assert!(answer.body.len() > 3_000_000);
    counted.count(Exchange::told(body, &answer)).await.unwrap();
}
