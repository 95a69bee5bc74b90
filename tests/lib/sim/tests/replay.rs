//! What a `Replay` sends is what was captured, in every chunking, and its connections end as the captures do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use infertally_sim::{Replay, ReplayConfig};
use support::*;
use tokio::io::AsyncWriteExt;

async fn replay() -> Replay {
    Replay::start(ReplayConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        dir: fixtures(),
    })
    .await
    .unwrap()
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    files
        .filter_map(|file| file.strip_suffix(".resp").map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn every_capture_is_sent_byte_for_byte_in_every_chunking() {
    let replay = replay().await;
    let names = names();
    assert!(names.len() > 50, "{}", names.len());
    for name in &names {
        let wanted = capture(&format!("{name}.resp"));
        for chunk in ["whole", "captured", "1", "7", "1000"] {
            // A byte at a time over a large capture would take its time and show nothing more.
            if chunk == "1" && wanted.len() > 4000 {
                continue;
            }
            let headers = [
                ("connection", "close"),
                ("x-sim-replay", name.as_str()),
                ("x-sim-chunk", chunk),
            ];
            let got = drain(send(replay.addr(), &post(CHAT, &headers, b"{}")).await).await;
            assert!(
                got == wanted,
                "{name} {chunk}: {} bytes, not {}",
                got.len(),
                wanted.len()
            );
        }
    }
}

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let replay = replay().await;
    let head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\nx-sim-replay: completions_stream\r\n";
    let requests = [
        post(CHAT, &[("x-sim-replay", "chat_plain")], b"{\"a\": 1}"),
        post(
            CHAT,
            &[("x-sim-replay", "chat_stream_usage_true"), ("x-sim-chunk", "captured")],
            b"",
        ),
        format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\n12345\r\n0\r\nt: v\r\n\r\n").into_bytes(),
        post(CHAT, &[("x-sim-replay", "nope")], b"body"),
        post(CHAT, &[("x-sim-replay", "chat_plain"), ("connection", "close")], b""),
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
    let (refusal, last) = rest.split_once("capture `nope` is not there").unwrap();
    assert!(refusal.starts_with("HTTP/1.1 404 Not Found\r\n"), "{refusal}");
    assert_eq!(last, capture("chat_plain"));
}

#[tokio::test]
async fn a_request_that_comes_in_small_parts_is_read() {
    let replay = replay().await;
    let request = post(
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
async fn a_client_that_expects_to_continue_is_told_to() {
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
async fn a_capture_that_was_cut_short_closes_the_connection() {
    let replay = replay().await;
    let wanted = capture("chat_stream_abort.resp");
    for chunk in ["whole", "captured", "5"] {
        let headers = [("x-sim-replay", "chat_stream_abort"), ("x-sim-chunk", chunk)];
        // No `connection: close` here: the end is the capture's.
        let got = drain(send(replay.addr(), &post(CHAT, &headers, b"{}")).await).await;
        assert_eq!(got, wanted, "{chunk}");
        assert!(!Answer::parse(got).whole);
    }
}

#[tokio::test]
async fn a_capture_that_was_cut_short_can_hang_until_the_client_goes_away() {
    let replay = replay().await;
    let wanted = capture("chat_stream_abort.resp");
    let headers = [("x-sim-replay", "chat_stream_abort"), ("x-sim-end", "hang")];
    let mut stream = send(replay.addr(), &post(CHAT, &headers, b"{}")).await;
    let mut got = vec![0; wanted.len()];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut got)
        .await
        .unwrap();
    assert_eq!(got, wanted);
    // Whatever is sent now is not answered, and the connection is still open.
    stream
        .write_all(&post(CHAT, &[("x-sim-replay", "chat_plain")], b""))
        .await
        .unwrap();
    let other = post(CHAT, &[("x-sim-replay", "chat_plain"), ("connection", "close")], b"");
    assert!(!drain(send(replay.addr(), &other).await).await.is_empty());
    let error = stream.try_read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    // Closing this side ends it.
    stream.shutdown().await.unwrap();
    assert!(drain(stream).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_served_is_told() {
    let replay = replay().await;
    let long_head = "x".repeat(70_000);
    let too_long = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", 65 << 20);
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for (request, status) in [
        (
            post("/", &[("x-sim-replay", "../secret"), ("connection", "close")], b""),
            "404",
        ),
        (
            post("/", &[("x-sim-replay", "not-there"), ("connection", "close")], b""),
            "404",
        ),
        (post("/", &[("connection", "close")], b""), "400"),
        (
            post(
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
        (post("/", &[("x-long", &long_head)], b""), "431"),
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
