//! An HTTP/1.1 client for tests that sends raw bytes and returns the response with its timing.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::capture::Response;
use crate::{PATIENCE, Result};

/// A response and the time from the request's first byte to the response's last.
#[derive(Debug)]
pub struct Timed {
    /// The response.
    pub response: Response,
    /// Never shorter than the duration that Envoy sees.
    pub took: Duration,
}

/// A request as bytes. It has `connection: close`, so that the response ends with it.
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

/// Sends a request in chunks of `chunk` bytes and reads the response to its end.
///
/// # Errors
/// If there is no connection, no HTTP, or no end in time.
pub async fn exchange(to: SocketAddr, request: &[u8], chunk: usize) -> Result<Timed> {
    let started = Instant::now();
    let mut stream = connect(to).await?;
    for piece in request.chunks(chunk.max(1)) {
        stream.write_all(piece).await?;
        tokio::task::yield_now().await;
    }
    let mut bytes = Vec::new();
    let end = timeout(PATIENCE, read_response(&mut stream, &mut bytes))
        .await
        .map_err(|_| "the response does not end")?;
    let response =
        Response::parse(&bytes).ok_or_else(|| format!("no HTTP response: {end:?}, {} bytes", bytes.len()))?;
    Ok(Timed {
        response,
        took: started.elapsed(),
    })
}

/// Sends a request and disconnects after this many bytes of the response's body.
///
/// # Errors
/// As [`exchange`], and if the response ends before that.
pub async fn disconnect_after(to: SocketAddr, request: &[u8], body_bytes: usize) -> Result<Response> {
    disconnect_when(to, request, |body| body.len() >= body_bytes).await
}

/// Sends a request and disconnects after this many events.
///
/// # Errors
/// As [`disconnect_after`].
pub async fn disconnect_after_events(to: SocketAddr, request: &[u8], events: usize) -> Result<Response> {
    disconnect_when(to, request, |body| {
        body.windows(2).filter(|window| window == b"\n\n").count() >= events
    })
    .await
}

async fn disconnect_when(to: SocketAddr, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> Result<Response> {
    let mut stream = connect(to).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(response) = Response::parse(&bytes).filter(|response| enough(&response.body)) {
            return Ok(response);
        }
        let read = timeout(PATIENCE, stream.read_buf(&mut bytes))
            .await
            .map_err(|_| "the response does not go on")?;
        if read? == 0 {
            return Err(format!("the response ended after {} bytes", bytes.len()).into());
        }
    }
}

/// Sends a request and returns the size of the response, head and framing included, without keeping it.
///
/// # Errors
/// As [`exchange`], and after [`PATIENCE`] without a byte.
pub async fn drain(to: SocketAddr, request: &[u8]) -> Result<u64> {
    let mut stream = connect(to).await?;
    stream.write_all(request).await?;
    let (mut piece, mut bytes) = (vec![0; 256 * 1024], 0);
    loop {
        let read = timeout(PATIENCE, stream.read(&mut piece))
            .await
            .map_err(|_| "the response does not end")?;
        match read? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}

/// `GET`s a page and returns its text.
///
/// # Errors
/// As [`exchange`], and for any status but 200.
pub async fn get(from: SocketAddr, path: &str) -> Result<String> {
    let Timed { response, .. } = exchange(from, &request("GET", path, &[], b""), usize::MAX).await?;
    if response.status != 200 {
        return Err(format!("GET {path}: status {}", response.status).into());
    }
    Ok(String::from_utf8(response.body)?)
}

/// Reads until the response is complete or the connection ends; a reset is an end, too. (Envoy keeps a connection open for
/// a second after its local replies.)
async fn read_response(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    while stream.read_buf(bytes).await? > 0 {
        let may_be_complete = bytes.len() < 64 * 1024 || bytes.ends_with(b"0\r\n\r\n");
        if may_be_complete && Response::parse(bytes).is_some_and(|response| response.complete && response.is_framed()) {
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
