//! The binary says where it listens, serves, and ends when it is told to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::process::Stdio;

use support::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

async fn start(arguments: &[&str]) -> (Child, std::net::SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infertally-sim"));
    let mut child = command
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    timeout(DEADLINE, out.read_line(&mut line)).await.unwrap().unwrap();
    let addr = line
        .trim()
        .strip_prefix("listening on http://")
        .unwrap()
        .parse()
        .unwrap();
    (child, addr)
}

async fn tell(child: &mut Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert!(timeout(DEADLINE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn serve_answers_until_sigterm() {
    let always = "/v1/completions=completion=2;prompt=9";
    let (mut child, addr) = start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--model",
        "base",
        "--adapter",
        "a",
        "--always",
        always,
    ])
    .await;
    let models = get(addr, "/v1/models").await.json();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][1]["id"]),
        (&"base".into(), &"a".into())
    );
    let request = post(COMPLETIONS, &[("connection", "close")], br#"{"prompt": "x"}"#);
    assert_eq!(
        Answer::parse(drain(send(addr, &request).await).await).json()["usage"]["total_tokens"],
        11
    );
    tell(&mut child, "-TERM").await;
}

#[tokio::test]
async fn replay_answers_until_interrupted_with_a_client_still_there() {
    let dir = fixtures();
    let (mut child, addr) = start(&["replay", "--listen", "127.0.0.1:0", "--dir", dir.to_str().unwrap()]).await;
    let mut stream = send(addr, &post(CHAT, &[("x-sim-replay", "chat_plain")], b"")).await;
    read_until(&mut stream, "chat.completion").await;
    tell(&mut child, "-INT").await;
}

#[tokio::test]
async fn a_mistake_on_the_command_line_ends_it_with_an_error() {
    for arguments in [
        &["serve", "--always", "/health=nope=1", "--listen", "127.0.0.1:0"][..],
        &["replay"],
        &[],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infertally-sim"));
        let ended = command
            .args(arguments)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        assert!(
            !timeout(DEADLINE, ended).await.unwrap().unwrap().success(),
            "{arguments:?}"
        );
    }
}
