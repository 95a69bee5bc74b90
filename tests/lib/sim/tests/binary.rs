//! The binary prints its address, serves, and exits on a signal.
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

async fn kill(child: &mut Child, signal: &str) {
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
async fn serve_runs_until_sigterm() {
    let behaviour = "/v1/completions=completion=2;prompt=9";
    let (mut child, addr) = start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--model",
        "base",
        "--adapter",
        "a",
        "--behaviour",
        behaviour,
    ])
    .await;
    let models = get(addr, "/v1/models").await.json();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][1]["id"]),
        (&"base".into(), &"a".into())
    );
    let request = request(COMPLETIONS, &[("connection", "close")], br#"{"prompt": "x"}"#);
    assert_eq!(
        Response::parse(drain(send(addr, &request).await).await).json()["usage"]["total_tokens"],
        11
    );
    kill(&mut child, "-TERM").await;
}

#[tokio::test]
async fn replay_exits_on_sigint_with_an_open_connection() {
    let dir = fixtures();
    let (mut child, addr) = start(&["replay", "--listen", "127.0.0.1:0", "--dir", dir.to_str().unwrap()]).await;
    let mut stream = send(addr, &request(CHAT, &[("x-sim-replay", "chat_plain")], b"")).await;
    read_until(&mut stream, "chat.completion").await;
    kill(&mut child, "-INT").await;
}

#[tokio::test]
async fn an_invalid_command_line_fails() {
    for arguments in [
        &["serve", "--behaviour", "/health=nope=1", "--listen", "127.0.0.1:0"][..],
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
