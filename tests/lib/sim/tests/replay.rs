//! A `Replay` sends the captured bytes in every chunking, and its connections end as the captured ones did.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::path::{Path, PathBuf};

use infertally_sim::{Replay, ReplayConfig};
use support::*;
use tokio::io::AsyncWriteExt;

async fn replay() -> Replay {
    replay_of(fixtures()).await
}

async fn replay_of(dir: PathBuf) -> Replay {
    let listen = ([127, 0, 0, 1], 0).into();
    Replay::start(ReplayConfig { listen, dir }).await.unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    files
        .filter_map(|file| file.strip_suffix(".resp").map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn every_capture_is_sent_byte_for_byte_in_every_chunking() {
    for (folder, least) in [("vllm-0.32.0", 50), ("llama.cpp-0.5.0", 25), ("formats", 13)] {
        let dir = fixtures().with_file_name(folder);
        let replay = replay_of(dir.clone()).await;
        let names = names(&dir);
        assert!(names.len() >= least, "{folder}: {}", names.len());
        for name in &names {
            let expected = std::fs::read(dir.join(format!("{name}.resp"))).unwrap();
            for chunk in ["whole", "captured", "1", "7", "1000"] {
                // Slow, and it covers nothing that a small capture does not.
                if chunk == "1" && expected.len() > 4000 {
                    continue;
                }
                let headers = [
                    ("connection", "close"),
                    ("x-sim-replay", name.as_str()),
                    ("x-sim-chunk", chunk),
                ];
                let got = drain(send(replay.addr(), &request(CHAT, &headers, b"{}")).await).await;
                assert!(
                    got == expected,
                    "{folder}/{name} {chunk}: {} bytes, not {}",
                    got.len(),
                    expected.len()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_alive() {
    let replay = replay().await;
    let head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\nx-sim-replay: completions_stream\r\n";
    let requests = [
        request(CHAT, &[("x-sim-replay", "chat_plain")], b"{\"a\": 1}"),
        request(
            CHAT,
            &[("x-sim-replay", "chat_stream_usage_true"), ("x-sim-chunk", "captured")],
            b"",
        ),
        format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\n12345\r\n0\r\nt: v\r\n\r\n").into_bytes(),
        request(CHAT, &[("x-sim-replay", "nope")], b"body"),
        request(CHAT, &[("x-sim-replay", "chat_plain"), ("connection", "close")], b""),
    ];
    let got = String::from_utf8(drain(send(replay.addr(), &requests.concat()).await).await).unwrap();
    let capture = |name: &str| String::from_utf8(capture(&format!("{name}.resp"))).unwrap();
    let start = [
        capture("chat_plain"),
        capture("chat_stream_usage_true"),
        capture("completions_stream"),
    ]
    .concat();
    let rest = got.strip_prefix(&start).unwrap();
    let (error, last) = rest.split_once("no capture `nope`").unwrap();
    assert!(error.starts_with("HTTP/1.1 404 Not Found\r\n"), "{error}");
    assert_eq!(last, capture("chat_plain"));
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let replay = replay().await;
    let request = request(
        CHAT,
        &[("x-sim-replay", "chat_plain"), ("connection", "close")],
        b"0123456789",
    );
    let mut stream = send(replay.addr(), &[]).await;
    for byte in request {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(drain(stream).await, capture("chat_plain.resp"));
}

#[tokio::test]
async fn expect_100_continue_is_honoured() {
    let replay = replay().await;
    let head = "POST / HTTP/1.1\r\nx-sim-replay: chat_plain\r\nconnection: close\r\nexpect: 100-continue\r\n";
    let mut stream = send(replay.addr(), format!("{head}content-length: 4\r\n\r\n").as_bytes()).await;
    assert_eq!(
        read_until(&mut stream, "\r\n\r\n").await,
        b"HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"body").await.unwrap();
    assert_eq!(drain(stream).await, capture("chat_plain.resp"));
}

#[tokio::test]
async fn a_truncated_capture_closes_the_connection() {
    let replay = replay().await;
    let expected = capture("chat_stream_abort.resp");
    for chunk in ["whole", "captured", "5"] {
        let headers = [("x-sim-replay", "chat_stream_abort"), ("x-sim-chunk", chunk)];
        // Without `connection: close`: the capture closes it.
        let got = drain(send(replay.addr(), &request(CHAT, &headers, b"{}")).await).await;
        assert_eq!(got, expected, "{chunk}");
        assert!(!Response::parse(got).complete);
    }
}

#[tokio::test]
async fn a_truncated_capture_can_hang_until_the_client_disconnects() {
    let replay = replay().await;
    let expected = capture("chat_stream_abort.resp");
    let headers = [("x-sim-replay", "chat_stream_abort"), ("x-sim-end", "hang")];
    let mut stream = send(replay.addr(), &request(CHAT, &headers, b"{}")).await;
    let mut got = vec![0; expected.len()];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut got)
        .await
        .unwrap();
    assert_eq!(got, expected);
    // Another request gets no response, and the connection stays open.
    stream
        .write_all(&request(CHAT, &[("x-sim-replay", "chat_plain")], b""))
        .await
        .unwrap();
    let other = request(CHAT, &[("x-sim-replay", "chat_plain"), ("connection", "close")], b"");
    assert!(!drain(send(replay.addr(), &other).await).await.is_empty());
    let error = stream.try_read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    // Closing this side closes the other.
    stream.shutdown().await.unwrap();
    assert!(drain(stream).await.is_empty());
}

#[tokio::test]
async fn invalid_requests_get_an_error_status() {
    let replay = replay().await;
    let long_head = "x".repeat(70_000);
    let too_long = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", 65 << 20);
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for (request, status) in [
        (
            request("/", &[("x-sim-replay", "../secret"), ("connection", "close")], b""),
            "404",
        ),
        (
            request("/", &[("x-sim-replay", "not-there"), ("connection", "close")], b""),
            "404",
        ),
        (request("/", &[("connection", "close")], b""), "400"),
        (
            request(
                "/",
                &[
                    ("x-sim-replay", "chat_plain"),
                    ("x-sim-chunk", "0"),
                    ("connection", "close"),
                ],
                b"",
            ),
            "400",
        ),
        (request("/", &[("x-long", &long_head)], b""), "431"),
        (too_long.into_bytes(), "413"),
        (format!("{chunked}4000001\r\n").into_bytes(), "413"),
        (format!("{chunked}zz\r\n").into_bytes(), "400"),
    ] {
        let got = String::from_utf8(drain(send(replay.addr(), &request).await).await).unwrap();
        assert_eq!(&got[9..12], status, "{got}");
    }
}

#[tokio::test]
async fn shutdown_closes_the_socket() {
    let replay = replay().await;
    let addr = replay.addr();
    replay.shutdown().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
