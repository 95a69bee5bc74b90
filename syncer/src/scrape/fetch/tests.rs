use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use infertally_harness::ports::Port;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::http_client::tls::client_config;

const MAX_BYTES: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// What the server sends to each request.
#[derive(Clone)]
struct Reply {
    bytes: Vec<u8>,
    /// Whether the connection is closed afterwards.
    close: bool,
}

fn reply(head: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    Reply {
        bytes: [head.as_bytes(), body].concat(),
        close: false,
    }
}

async fn serve(mut socket: impl AsyncRead + AsyncWrite + Unpin, reply: &Reply) -> std::io::Result<()> {
    let mut request = Vec::new();
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        request.clear();
        socket.write_all(&reply.bytes).await?;
        socket.flush().await?;
        if reply.close {
            return socket.shutdown().await;
        }
    }
}

/// Starts a server and returns its URL and the number of connections that it has accepted.
async fn server(reply: Reply, tls: Option<ServerConfig>) -> (Uri, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}/metrics", listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::clone(&connections);
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            accepted.fetch_add(1, Ordering::Relaxed);
            let (reply, acceptor) = (reply.clone(), acceptor.clone());
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => serve(acceptor.accept(socket).await?, &reply).await,
                    None => serve(socket, &reply).await,
                }
            });
        }
    });
    (url.parse().unwrap(), connections)
}

fn client() -> Client {
    Client::new(MAX_BYTES, Access::new(client_config(None).unwrap()))
}

async fn fetch(reply: Reply, timeout: Duration) -> Result<Page, FetchError> {
    let (url, _) = server(reply, None).await;
    client().fetch(&url, timeout).await
}

fn text(page: &Page) -> Vec<u8> {
    page.body.pieces().collect::<Vec<_>>().concat()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_page_is_fetched_with_its_format_and_decompressed() {
    const TEXT: &[u8] = b"up 1\n";
    for (head, body, format) in [
        ("200 OK", TEXT.to_vec(), Format::Text),
        (
            "200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8",
            TEXT.to_vec(),
            Format::Text,
        ),
        (
            "200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0",
            TEXT.to_vec(),
            Format::OpenMetrics,
        ),
        ("200 OK\r\ncontent-encoding: gzip", gzip(TEXT), Format::Text),
        (
            "200 OK\r\ncontent-encoding: GZIP",
            [gzip(b"up "), gzip(b"1\n")].concat(),
            Format::Text,
        ),
    ] {
        let page = fetch(reply(head, &body), LONG).await.unwrap();
        assert_eq!((&*text(&page), page.format), (TEXT, format), "{head}");
    }
}

#[tokio::test]
async fn each_failure_has_its_reason() {
    let complete = reply("200 OK", b"up 1\n");
    let then_close = |bytes: &[u8]| Reply {
        bytes: bytes.to_vec(),
        close: true,
    };
    let mut incomplete = complete.clone();
    incomplete.bytes.truncate(complete.bytes.len() - 1);
    let bomb = gzip(&vec![b'\n'; MAX_BYTES + 1]);
    for (name, reply, timeout, reason) in [
        ("not found", reply("404 Not Found", b"up 1\n"), LONG, Reason::Status),
        (
            "no content",
            then_close(b"HTTP/1.1 204 No Content\r\n\r\n"),
            LONG,
            Reason::Status,
        ),
        (
            "redirect",
            reply("302 Found\r\nlocation: /x", b""),
            LONG,
            Reason::Status,
        ),
        ("no response", then_close(b""), LONG, Reason::Connect),
        ("no HTTP", then_close(b"SSH-2.0\r\n\r\n"), LONG, Reason::Connect),
        (
            "incomplete headers",
            then_close(b"HTTP/1.1 200 OK\r\ncontent-le"),
            LONG,
            Reason::Connect,
        ),
        ("incomplete body", then_close(&incomplete.bytes), LONG, Reason::Body),
        ("body that never completes", incomplete, SHORT, Reason::Timeout),
        (
            "brotli",
            reply("200 OK\r\ncontent-encoding: br", b"up 1\n"),
            LONG,
            Reason::Body,
        ),
        (
            "invalid gzip",
            reply("200 OK\r\ncontent-encoding: gzip", b"up 1\n"),
            LONG,
            Reason::Body,
        ),
        (
            "incomplete gzip",
            reply("200 OK\r\ncontent-encoding: gzip", &bomb[..bomb.len() / 2]),
            LONG,
            Reason::Body,
        ),
        (
            "a gzip bomb",
            reply("200 OK\r\ncontent-encoding: gzip", &bomb),
            LONG,
            Reason::TooLarge,
        ),
        (
            "too large",
            reply("200 OK", &vec![b'\n'; MAX_BYTES + 1]),
            LONG,
            Reason::TooLarge,
        ),
    ] {
        let error = fetch(reply, timeout).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(!error.to_string().is_empty());
    }
    let unused = Port::reserve().unwrap();
    let url = format!("http://{}/metrics", unused.address()).parse().unwrap();
    let error = client().fetch(&url, LONG).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn connections_are_reused_and_reopened_after_the_server_closes_them() {
    for (close, expected) in [(false, 1), (true, 5)] {
        let reply = Reply {
            close,
            ..reply("200 OK", b"up 1\n")
        };
        let (url, connections) = server(reply, None).await;
        let client = client();
        for _ in 0..5 {
            client.fetch(&url, LONG).await.unwrap();
        }
        assert_eq!(connections.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn an_https_server_must_have_a_certificate_of_a_trusted_root() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
        )
        .unwrap();
    let (url, _) = server(reply("200 OK", b"up 1\n"), Some(tls)).await;
    let ca_file = std::env::temp_dir().join(format!("infertally-ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, key.cert.pem()).unwrap();
    let trusting = Client::new(MAX_BYTES, Access::new(client_config(Some(&ca_file)).unwrap()));
    assert_eq!(text(&trusting.fetch(&url, LONG).await.unwrap()), b"up 1\n");
    let error = client().fetch(&url, LONG).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Tls);
    assert_eq!(
        error.to_string(),
        "TLS: the server's certificate is signed by an unknown authority"
    );

    std::fs::write(&ca_file, "nothing\n").unwrap();
    let error = client_config(Some(&ca_file)).unwrap_err();
    assert!(
        crate::error::error_chain(&error).ends_with("cannot be used: it holds no certificate"),
        "{error}"
    );
    std::fs::remove_file(&ca_file).unwrap();
    assert!(client_config(Some(&ca_file)).is_err());
}

#[tokio::test]
async fn large_pages_share_a_memory_limit_and_small_ones_are_always_fetched() {
    const LARGE: usize = 64 * 1024 * 1024;
    let client = Client::new(LARGE, Access::new(client_config(None).unwrap()));
    // Each lacks its last byte, so it keeps its permit.
    let mut incomplete = reply("200 OK", &vec![b'\n'; LARGE]);
    incomplete.bytes.truncate(incomplete.bytes.len() - 1);
    let (large, _) = server(incomplete, None).await;
    let (small, _) = server(reply("200 OK", &vec![b'\n'; SMALL_PAGE_BYTES]), None).await;
    let holders: Vec<_> = (0..2)
        .map(|_| {
            let (client, large) = (client.clone(), large.clone());
            tokio::spawn(async move { client.fetch(&large, LONG * 10).await })
        })
        .collect();
    let deadline = tokio::time::Instant::now() + LONG * 3;
    while client.shared_bytes.available_permits() > 1024 * 1024 {
        assert!(tokio::time::Instant::now() < deadline, "the permits are never taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(
        client.fetch(&large, LONG).await,
        Err(FetchError::MemoryExhausted)
    ));
    assert_eq!(text(&client.fetch(&small, LONG).await.unwrap()).len(), SMALL_PAGE_BYTES);
    for holder in holders {
        holder.abort();
        assert!(holder.await.unwrap_err().is_cancelled());
    }
    assert_eq!(client.shared_bytes.available_permits(), SHARED_BYTES);
}

#[tokio::test]
async fn the_bytes_of_a_page_are_charged_until_it_is_dropped_decompressed_too() {
    let page = vec![b'\n'; MAX_BYTES];
    for (head, body) in [
        ("200 OK", page.clone()),
        ("200 OK\r\ncontent-encoding: gzip", gzip(&page)),
    ] {
        let (url, _) = server(reply(head, &body), None).await;
        let client = client();
        let fetched = client.fetch(&url, LONG).await.unwrap();
        let charged = SHARED_BYTES - client.shared_bytes.available_permits();
        assert_eq!(charged, MAX_BYTES - SMALL_PAGE_BYTES, "{head}");
        drop(fetched);
        assert_eq!(client.shared_bytes.available_permits(), SHARED_BYTES, "{head}");

        let all = client
            .shared_bytes
            .clone()
            .try_acquire_many_owned(SHARED_BYTES as u32)
            .unwrap();
        let error = client.fetch(&url, LONG).await.unwrap_err();
        assert!(matches!(error, FetchError::MemoryExhausted), "{head}: {error}");
        drop(all);
    }
}

#[tokio::test]
async fn empty_gzip_members_without_end_are_too_large() {
    let members = gzip(b"").repeat(MAX_BYTES / gzip(b"").len() + 1);
    let members = reply("200 OK\r\ncontent-encoding: gzip", &members);
    // Without a content-length.
    let body = String::from_utf8_lossy(&members.bytes).find("content-length").unwrap();
    let end = members.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let endless = Reply {
        bytes: [&members.bytes[..body], &members.bytes[end + 2..]].concat(),
        close: true,
    };
    let error = fetch(endless, LONG).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TooLarge, "{error}");
}
