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

/// What a server does with each request.
#[derive(Clone)]
struct Answer {
    bytes: Vec<u8>,
    /// Closes the connection after it; else waits for the next request.
    close: bool,
}

fn answer(head: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    Answer {
        bytes: [head.as_bytes(), body].concat(),
        close: false,
    }
}

async fn talk(mut socket: impl AsyncRead + AsyncWrite + Unpin, answer: &Answer) -> std::io::Result<()> {
    let mut seen = Vec::new();
    loop {
        while !seen.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
        }
        seen.clear();
        socket.write_all(&answer.bytes).await?;
        socket.flush().await?;
        if answer.close {
            return socket.shutdown().await;
        }
    }
}

/// Its URL, and how many connections it took.
async fn server(answer: Answer, tls: Option<ServerConfig>) -> (Uri, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}/metrics", listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let (answer, acceptor) = (answer.clone(), acceptor.clone());
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => talk(acceptor.accept(socket).await?, &answer).await,
                    None => talk(socket, &answer).await,
                }
            });
        }
    });
    (url.parse().unwrap(), connections)
}

fn client() -> Client {
    Client::new(MAX_BYTES, client_config(None).unwrap())
}

async fn fetched(answer: Answer, timeout: Duration) -> Result<Page, FetchError> {
    let (url, _) = server(answer, None).await;
    client().fetch(&url, timeout).await
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_page_is_read_with_its_format_and_inflated() {
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
        let page = fetched(answer(head, &body), LONG).await.unwrap();
        assert_eq!((&*page.body, page.format), (TEXT, format), "{head}");
    }
}

#[tokio::test]
async fn every_way_to_fail_has_its_reason() {
    let whole = answer("200 OK", b"up 1\n");
    let cut = |bytes: &[u8]| Answer {
        bytes: bytes.to_vec(),
        close: true,
    };
    let mut never_ends = whole.clone();
    never_ends.bytes.truncate(whole.bytes.len() - 1);
    let bomb = gzip(&vec![b'\n'; MAX_BYTES + 1]);
    for (name, answer, timeout, reason) in [
        ("not found", answer("404 Not Found", b"up 1\n"), LONG, Reason::Status),
        (
            "no content",
            cut(b"HTTP/1.1 204 No Content\r\n\r\n"),
            LONG,
            Reason::Status,
        ),
        (
            "redirect",
            answer("302 Found\r\nlocation: /x", b""),
            LONG,
            Reason::Status,
        ),
        ("no answer", cut(b""), LONG, Reason::Connect),
        ("no HTTP", cut(b"SSH-2.0\r\n\r\n"), LONG, Reason::Connect),
        (
            "half a head",
            cut(b"HTTP/1.1 200 OK\r\ncontent-le"),
            LONG,
            Reason::Connect,
        ),
        ("half a body", cut(&never_ends.bytes), LONG, Reason::Body),
        ("a hang", never_ends, SHORT, Reason::Timeout),
        (
            "brotli",
            answer("200 OK\r\ncontent-encoding: br", b"up 1\n"),
            LONG,
            Reason::Body,
        ),
        (
            "bad gzip",
            answer("200 OK\r\ncontent-encoding: gzip", b"up 1\n"),
            LONG,
            Reason::Body,
        ),
        (
            "half of gzip",
            answer("200 OK\r\ncontent-encoding: gzip", &bomb[..bomb.len() / 2]),
            LONG,
            Reason::Body,
        ),
        (
            "a gzip bomb",
            answer("200 OK\r\ncontent-encoding: gzip", &bomb),
            LONG,
            Reason::TooLarge,
        ),
        (
            "too long",
            answer("200 OK", &vec![b'\n'; MAX_BYTES + 1]),
            LONG,
            Reason::TooLarge,
        ),
    ] {
        let error = fetched(answer, timeout).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(!error.to_string().is_empty());
    }
    let nobody = Port::reserve().unwrap();
    let url = format!("http://{}/metrics", nobody.address()).parse().unwrap();
    let error = client().fetch(&url, LONG).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_connection_is_kept_and_one_that_was_closed_is_made_anew() {
    for (close, expected) in [(false, 1), (true, 5)] {
        let answer = Answer {
            close,
            ..answer("200 OK", b"up 1\n")
        };
        let (url, connections) = server(answer, None).await;
        let client = client();
        for _ in 0..5 {
            client.fetch(&url, LONG).await.unwrap();
        }
        assert_eq!(connections.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn a_server_with_https_must_be_signed_by_a_root_that_is_known() {
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
    let (url, _) = server(answer("200 OK", b"up 1\n"), Some(tls)).await;
    let ca_file = std::env::temp_dir().join(format!("infertally-ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, key.cert.pem()).unwrap();
    let knowing = Client::new(MAX_BYTES, client_config(Some(&ca_file)).unwrap());
    assert_eq!(&*knowing.fetch(&url, LONG).await.unwrap().body, b"up 1\n");
    let error = client().fetch(&url, LONG).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect);
    assert!(error.to_string().contains("certificate"), "{error}");

    std::fs::write(&ca_file, "nothing\n").unwrap();
    let error = client_config(Some(&ca_file)).unwrap_err();
    assert!(
        crate::error_chain(&error).ends_with("cannot be used: no certificate in it"),
        "{error}"
    );
    std::fs::remove_file(&ca_file).unwrap();
    assert!(client_config(Some(&ca_file)).is_err());
}

#[tokio::test]
async fn large_pages_find_room_only_for_so_many_and_small_ones_always() {
    const LARGE: usize = 64 * 1024 * 1024;
    let client = Client::new(LARGE, client_config(None).unwrap());
    // Each comes but for its last byte, so it keeps its room.
    let mut never_ends = answer("200 OK", &vec![b'\n'; LARGE]);
    never_ends.bytes.truncate(never_ends.bytes.len() - 1);
    let (large, _) = server(never_ends, None).await;
    let (small, _) = server(answer("200 OK", &vec![b'\n'; SMALL_BYTES]), None).await;
    let holders: Vec<_> = (0..2)
        .map(|_| {
            let (client, large) = (client.clone(), large.clone());
            tokio::spawn(async move { client.fetch(&large, LONG * 10).await })
        })
        .collect();
    let deadline = tokio::time::Instant::now() + LONG * 3;
    while client.room.available_permits() > 1024 * 1024 {
        assert!(tokio::time::Instant::now() < deadline, "the room is never taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(client.fetch(&large, LONG).await, Err(FetchError::Crowded)));
    assert_eq!(client.fetch(&small, LONG).await.unwrap().body.len(), SMALL_BYTES);
    for holder in holders {
        holder.abort();
        assert!(holder.await.unwrap_err().is_cancelled());
    }
    assert_eq!(client.room.available_permits(), LARGE_BYTES);
}
