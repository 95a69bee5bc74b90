//! A keep-alive client that does as little as possible: it finds the end of a response and parses nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use infertally_harness::capture::Response;
use infertally_harness::{PATIENCE, Result};

use crate::cost::now;

/// The start of every response that a figure may include.
const OK: &[u8] = b"HTTP/1.1 200 ";
/// The end of a chunked body. These bytes appear nowhere else in the responses of the bench.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// Holds one whole response; grows with the largest one.
    buffer: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: vec![0; 256 * 1024],
        })
    }

    /// Sends a request and reads the response. Returns the time from the first byte sent to the last received.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Duration> {
        self.send(request).map(|(took, _)| took)
    }

    /// Sends a request and returns the response.
    pub(crate) fn response(&mut self, request: &[u8]) -> Result<Response> {
        let (_, length) = self.send(request)?;
        let bytes = self.buffer.get(..length).unwrap_or_default();
        Response::parse(bytes).ok_or_else(|| "the response is not HTTP".into())
    }

    fn send(&mut self, request: &[u8]) -> Result<(Duration, usize)> {
        let started = now();
        self.stream.write_all(request)?;
        let mut length = 0;
        let mut end = None;
        loop {
            if length == self.buffer.len() {
                self.buffer.resize(2 * length, 0);
            }
            let free = self.buffer.get_mut(length..).unwrap_or_default();
            let read = self.stream.read(free)?;
            if read == 0 {
                return Err("the response is truncated".into());
            }
            length += read;
            let received = self.buffer.get(..length).unwrap_or_default();
            end = end.or_else(|| End::find(received));
            let complete = match end {
                None => false,
                Some(End::At(at)) => length >= at,
                Some(End::LastChunk) => received.ends_with(LAST_CHUNK),
            };
            if complete {
                if !received.starts_with(OK) {
                    return Err(format!("unexpected response: {}", String::from_utf8_lossy(received)).into());
                }
                return Ok((started.elapsed(), length));
            }
        }
    }
}

/// The end of a response.
#[derive(Clone, Copy, Debug)]
enum End {
    /// After this many bytes.
    At(usize),
    LastChunk,
}

// === impl End ===

impl End {
    /// `None` while the head is incomplete.
    fn find(bytes: &[u8]) -> Option<Self> {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse::<usize>().ok());
        Some(length.map_or(Self::LastChunk, |length| Self::At(head + length)))
    }
}
