//! A keep-alive client that does as little as it can: it finds where an answer ends and looks at nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use infertally_harness::capture::Response;
use infertally_harness::{PATIENCE, Result};

use crate::cost::now;

/// The end of a chunked body. Nothing in the answers of this bench looks like it.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// The answer, all of it: sized once and used again.
    bytes: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            bytes: vec![0; 256 * 1024],
        })
    }

    /// Sends a request and reads its answer; gives the time from the first byte to the last.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Duration> {
        self.send(request).map(|(took, _)| took)
    }

    /// The same; gives the answer.
    pub(crate) fn answer(&mut self, request: &[u8]) -> Result<Response> {
        let (_, length) = self.send(request)?;
        let bytes = self.bytes.get(..length).unwrap_or_default();
        Response::parse(bytes).ok_or_else(|| "the answer is no HTTP".into())
    }

    fn send(&mut self, request: &[u8]) -> Result<(Duration, usize)> {
        let started = now();
        self.stream.write_all(request)?;
        let mut length = 0;
        let mut end = None;
        loop {
            let room = self.bytes.get_mut(length..).unwrap_or_default();
            let read = self.stream.read(room)?;
            if read == 0 {
                return Err("the answer ended early, or is larger than any that was sent".into());
            }
            length += read;
            let seen = self.bytes.get(..length).unwrap_or_default();
            end = end.or_else(|| End::find(seen));
            let whole = match end {
                None => false,
                Some(End::At(at)) => length >= at,
                Some(End::LastChunk) => seen.ends_with(LAST_CHUNK),
            };
            if whole {
                return Ok((started.elapsed(), length));
            }
        }
    }
}

/// Where an answer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    At(usize),
    LastChunk,
}

// === impl End ===

impl End {
    /// `None` while the head is not whole.
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
