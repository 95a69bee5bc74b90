//! An HTTP/1.1 client for tests: it sends the bytes that it is given and shows those that come back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::capture::Answer;
use crate::{PATIENCE, Result};

/// An answer, and how long it took from the request's first byte to the answer's last.
#[derive(Debug)]
pub struct Timed {
    /// What came.
    pub answer: Answer,
    /// Never shorter than what Envoy saw.
    pub took: Duration,
}

/// A request as bytes. It closes its connection, so that the end of the answer is the end of the bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if method == "POST" {
        bytes.extend_from_slice(
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()).as_bytes(),
        );
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a request, in pieces of `chunk` bytes, and reads the answer to its end.
///
/// # Errors
/// Where the connection can't be made, what comes back is no HTTP, or nothing ends in time.
pub async fn exchange(to: SocketAddr, request: &[u8], chunk: usize) -> Result<Timed> {
    let started = Instant::now();
    let mut stream = connect(to).await?;
    for piece in request.chunks(chunk.max(1)) {
        stream.write_all(piece).await?;
        tokio::task::yield_now().await;
    }
    let mut bytes = Vec::new();
    let end = timeout(PATIENCE, read_answer(&mut stream, &mut bytes))
        .await
        .map_err(|_| "the answer does not end")?;
    let answer = Answer::parse(&bytes).ok_or_else(|| format!("no HTTP answer: {end:?}, {} bytes", bytes.len()))?;
    Ok(Timed {
        answer,
        took: started.elapsed(),
    })
}

/// Sends a request and goes away once so many bytes of the answer's body have come.
///
/// # Errors
/// As [`exchange`]; also where the answer ends before that.
pub async fn leave_after(to: SocketAddr, request: &[u8], body_bytes: usize) -> Result<Answer> {
    leave_when(to, request, |body| body.len() >= body_bytes).await
}

/// The same, once so many events have come.
///
/// # Errors
/// As [`leave_after`].
pub async fn leave_after_events(to: SocketAddr, request: &[u8], events: usize) -> Result<Answer> {
    leave_when(to, request, |body| {
        body.windows(2).filter(|window| window == b"\n\n").count() >= events
    })
    .await
}

async fn leave_when(to: SocketAddr, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> Result<Answer> {
    let mut stream = connect(to).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = Answer::parse(&bytes).filter(|answer| enough(&answer.body)) {
            return Ok(answer);
        }
        let read = timeout(PATIENCE, stream.read_buf(&mut bytes))
            .await
            .map_err(|_| "the answer does not come")?;
        if read? == 0 {
            return Err(format!("the answer ended after {} bytes", bytes.len()).into());
        }
    }
}

/// Sends a request and counts the bytes that come back, head and framing included, without keeping them.
///
/// # Errors
/// As [`exchange`]; a silence of [`PATIENCE`] counts as no end.
pub async fn drain(to: SocketAddr, request: &[u8]) -> Result<u64> {
    let mut stream = connect(to).await?;
    stream.write_all(request).await?;
    let (mut piece, mut bytes) = (vec![0; 256 * 1024], 0);
    loop {
        let read = timeout(PATIENCE, stream.read(&mut piece))
            .await
            .map_err(|_| "the answer does not end")?;
        match read? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}

/// `GET`s a page and gives its text.
///
/// # Errors
/// As [`exchange`]; also for any status but 200.
pub async fn get(from: SocketAddr, path: &str) -> Result<String> {
    let Timed { answer, .. } = exchange(from, &request("GET", path, &[], b""), usize::MAX).await?;
    if answer.status != 200 {
        return Err(format!("GET {path}: status {}", answer.status).into());
    }
    Ok(String::from_utf8(answer.body)?)
}

/// Reads until the answer is whole or the connection ends; a reset is an end, too. (Envoy leaves a connection open for
/// a second after its own replies.)
async fn read_answer(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    while stream.read_buf(bytes).await? > 0 {
        let may_be_whole = bytes.len() < 64 * 1024 || bytes.ends_with(b"0\r\n\r\n");
        if may_be_whole && Answer::parse(bytes).is_some_and(|answer| answer.whole && answer.is_framed()) {
            break;
        }
    }
    Ok(())
}

async fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = timeout(PATIENCE, TcpStream::connect(to))
        .await
        .map_err(|_| format!("no connection to {to}"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
