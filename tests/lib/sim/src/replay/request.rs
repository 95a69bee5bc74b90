//! Reads requests from a connection: keeps the head, skips the body, bounds both.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::capture::{find, header, size_line};

/// Limit of a request head; that of proxies is similar.
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;
/// Limit of a chunk's size line, which may carry extensions, and of a trailer.
const MAX_SIZE_LINE: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Request {
    head: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("request head exceeds {MAX_HEAD} bytes")]
    LongHead,
    #[error("request body exceeds {MAX_BODY} bytes")]
    LongBody,
    #[error("malformed HTTP/1.1 request")]
    Malformed,
    #[error("header x-sim-replay is missing")]
    NoName,
    #[error("invalid header x-sim-chunk `{0}`: expected whole, captured or a number above 0")]
    Chunk(String),
    #[error("no capture `{0}`")]
    NoCapture(String),
}

/// Reads request after request. Bytes read beyond one are held for the next.
#[derive(Debug, Default)]
pub(super) struct Reader {
    held: Vec<u8>,
}

// === impl Request ===

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Whether the client wants the connection closed after the response.
    pub(super) fn closes(&self) -> bool {
        let is = |expected| {
            self.header("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case(expected))
        };
        let first = self.head.split("\r\n").next().unwrap_or_default();
        is("close") || (first.ends_with("HTTP/1.0") && !is("keep-alive"))
    }
}

// === impl RequestError ===

impl RequestError {
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::LongHead => "431 Request Header Fields Too Large",
            Self::LongBody => "413 Content Too Large",
            Self::Malformed | Self::NoName | Self::Chunk(_) => "400 Bad Request",
            Self::NoCapture(_) => "404 Not Found",
        }
    }
}

// === impl Reader ===

impl Reader {
    /// The next request, after its body was read; `None` if the client closed the connection between requests.
    pub(super) async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Result<Option<Request>, RequestError>> {
        let head_end = loop {
            if let Some(at) = find(&self.held, b"\r\n\r\n") {
                break at.saturating_add(4);
            }
            if self.held.len() > MAX_HEAD {
                return Ok(Err(RequestError::LongHead));
            }
            if !self.more(stream).await? {
                return if self.held.is_empty() {
                    Ok(Ok(None))
                } else {
                    Ok(Err(RequestError::Malformed))
                };
            }
        };
        if head_end > MAX_HEAD {
            return Ok(Err(RequestError::LongHead));
        }
        let head: Vec<u8> = self.held.drain(..head_end).collect();
        let Ok(head) = String::from_utf8(head) else {
            return Ok(Err(RequestError::Malformed));
        };
        let request = Request { head };
        let is = |name, expected: &str| {
            request
                .header(name)
                .is_some_and(|value| value.eq_ignore_ascii_case(expected))
        };
        if is("expect", "100-continue") && self.held.is_empty() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let read = if is("transfer-encoding", "chunked") {
            self.skip_chunks(stream).await?
        } else {
            match request.header("content-length").map(str::parse::<usize>) {
                None => Ok(()),
                Some(Err(_)) => Err(RequestError::Malformed),
                Some(Ok(length)) if length > MAX_BODY => Err(RequestError::LongBody),
                Some(Ok(length)) => self.skip(stream, length).await?,
            }
        };
        Ok(read.map(|()| Some(request)))
    }

    async fn skip_chunks(&mut self, stream: &mut TcpStream) -> io::Result<Result<(), RequestError>> {
        let mut left = MAX_BODY;
        loop {
            let Some(line) = self.line(stream).await? else {
                return Ok(Err(RequestError::Malformed));
            };
            let Some((size, _)) = size_line(&line) else {
                return Ok(Err(RequestError::Malformed));
            };
            if size == 0 {
                break;
            }
            let Some(rest) = left.checked_sub(size) else {
                return Ok(Err(RequestError::LongBody));
            };
            left = rest;
            if let Err(error) = self.skip(stream, size.saturating_add(2)).await? {
                return Ok(Err(error));
            }
        }
        // Trailers end at an empty line.
        loop {
            match self.line(stream).await? {
                None => return Ok(Err(RequestError::Malformed)),
                Some(line) if line == b"\r\n" => return Ok(Ok(())),
                Some(_) => {}
            }
        }
    }

    /// One line with its CRLF; `None` if it is too long or the client disconnected.
    async fn line(&mut self, stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = find(&self.held, b"\r\n") {
                return Ok(Some(self.held.drain(..at.saturating_add(2)).collect()));
            }
            if self.held.len() > MAX_SIZE_LINE || !self.more(stream).await? {
                return Ok(None);
            }
        }
    }

    async fn skip(&mut self, stream: &mut TcpStream, mut bytes: usize) -> io::Result<Result<(), RequestError>> {
        loop {
            let held = bytes.min(self.held.len());
            self.held.drain(..held);
            bytes = bytes.saturating_sub(held);
            if bytes == 0 {
                return Ok(Ok(()));
            }
            if !self.more(stream).await? {
                return Ok(Err(RequestError::Malformed));
            }
        }
    }

    /// Reads available bytes; `false` if the client has closed its side.
    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        let read = stream.read(&mut buffer).await?;
        self.held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read > 0)
    }
}
