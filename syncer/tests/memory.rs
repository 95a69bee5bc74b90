//! How much memory the page of a scrape takes, measured with a counting allocator.
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]
#![allow(clippy::unwrap_used, reason = "a failing test helper fails the test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use infertally_syncer::http_client::access::Access;
use infertally_syncer::http_client::tls::client_config;
use infertally_syncer::scrape::fetch::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const PAGE: usize = 8 * 1024 * 1024;
/// What a scrape takes beside the page: buffers of the connection and the decompressor, the partly filled last piece.
const BUFFERS: usize = 512 * 1024;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is forwarded unchanged to the system allocator; the counters are atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of this call.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Serves one response per connection.
async fn serve(listener: TcpListener, response: &[u8]) {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            socket.read_buf(&mut request).await.unwrap();
        }
        socket.write_all(response).await.unwrap();
        socket.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_page_is_held_once() {
    let line = b"vllm:time_to_first_token_seconds_bucket{le=\"0.001\",model_name=\"m\"} 0.0\n";
    let page: Vec<u8> = line.iter().copied().cycle().take(PAGE).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&page).unwrap();
    let gzip = gzip.finish().unwrap();
    let length = format!("content-length: {PAGE}\r\n");
    let cases = [
        ("with a content-length", length.as_str(), page.as_slice()),
        // The end of the connection ends the page.
        ("without a content-length", "", &page),
        ("in gzip", "content-encoding: gzip\r\n", &gzip),
    ];
    for (case, headers, body) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let response = [format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body].concat();
        let server = tokio::spawn(async move { serve(listener, &response).await });
        let client = Client::new(PAGE, Access::new(client_config(None).unwrap()));

        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let fetched = client
            .fetch(&url.parse().unwrap(), Duration::from_secs(60))
            .await
            .unwrap();
        let peak = PEAK.load(Ordering::Relaxed) - before;
        assert_eq!(fetched.body.pieces().map(<[u8]>::len).sum::<usize>(), PAGE, "{case}");
        assert!(
            (PAGE..PAGE + BUFFERS).contains(&peak),
            "{case}: the peak is {peak} bytes"
        );
        server.abort();
        // Its response is dropped before the next case begins.
        _ = server.await;
    }
}
