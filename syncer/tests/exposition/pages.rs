//! An HTTP server of pages for Prometheus to scrape: page N at `/N`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use infertally_syncer::exposition::Format;

/// A page, served at its own path.
#[derive(Clone)]
pub struct Page {
    format: Format,
    body: Vec<u8>,
}

impl Page {
    pub fn new(format: Format, body: impl Into<Vec<u8>>) -> Self {
        Self {
            format,
            body: body.into(),
        }
    }
}

/// Serves `pages` until the test's process exits.
pub fn serve(pages: &[Page]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pages: Arc<[Page]> = pages.into();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let pages = Arc::clone(&pages);
            thread::spawn(move || respond(&connection.unwrap(), &pages));
        }
    });
    address
}

fn respond(mut connection: &TcpStream, pages: &[Page]) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    while lines.next().is_some_and(|header| !header.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap();
    let Page { format, body } = &pages[path.trim_start_matches('/').parse::<usize>().unwrap()];
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        format.content_type(),
        body.len()
    );
    // Prometheus may have exited.
    _ = connection.write_all(&[head.as_bytes(), body].concat());
}
