//! [`Replay`], a server that sends captured responses byte for byte, over plain TCP so that no HTTP library changes them.
//!
//! A request names its capture in `x-sim-replay`. `x-sim-chunk` sets how it is cut into writes (`whole`, `captured` or a
//! number of bytes), and `x-sim-end: hang` keeps the connection open after a truncated capture.

mod capture;
mod request;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::capture::Capture;
use self::request::{Reader, Request, RequestError};
use crate::listener::Listener;

/// How long a connection waits for the client to close its side.
const LINGER: Duration = Duration::from_secs(1);

/// The settings of a [`Replay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayConfig {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The directory of the captures, files `NAME.resp`.
    pub dir: PathBuf,
}

/// A server of captured responses. Dropping it closes its socket and its connections.
#[derive(Debug)]
pub struct Replay {
    listener: Listener,
}

/// How a response is cut into writes.
#[derive(Clone, Copy)]
enum Writes {
    Whole,
    Captured,
    Bytes(NonZeroUsize),
}

// === impl Replay ===

impl Replay {
    /// Binds and serves until [`Replay::shutdown`] or drop.
    ///
    /// # Errors
    /// If it cannot bind to the address.
    pub async fn start(config: ReplayConfig) -> io::Result<Self> {
        let dir: Arc<Path> = config.dir.into();
        let serve = move |stream| {
            let dir = Arc::clone(&dir);
            async move {
                // An error means that the client disconnected.
                let _ = serve(stream, &dir).await;
            }
        };
        Ok(Self {
            listener: Listener::start(config.listen, serve).await?,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// Closes the socket and every connection; returns when they are closed.
    pub async fn shutdown(self) {
        self.listener.shutdown().await;
    }
}

async fn serve(mut stream: TcpStream, dir: &Path) -> io::Result<()> {
    let mut reader = Reader::default();
    loop {
        let request = match reader.next(&mut stream).await? {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                send_error(&mut stream, &error, false).await?;
                return close(stream).await;
            }
        };
        let keep_alive = !request.closes();
        match find_capture(&request, dir) {
            Ok((capture, writes)) => {
                send(&mut stream, &capture, writes).await?;
                if !capture.is_complete() && request.header("x-sim-end") == Some("hang") {
                    return discard_input(stream).await;
                }
                if !capture.is_complete() || capture.closes() || !keep_alive {
                    return close(stream).await;
                }
            }
            Err(error) => {
                send_error(&mut stream, &error, keep_alive).await?;
                if !keep_alive {
                    return close(stream).await;
                }
            }
        }
    }
}

fn find_capture(request: &Request, dir: &Path) -> Result<(Capture, Writes), RequestError> {
    let writes = match request.header("x-sim-chunk") {
        None | Some("whole") => Writes::Whole,
        Some("captured") => Writes::Captured,
        Some(size) => Writes::Bytes(size.parse().map_err(|_| RequestError::Chunk(size.to_owned()))?),
    };
    let name = request.header("x-sim-replay").ok_or(RequestError::NoName)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(RequestError::NoCapture(name.to_owned()));
    }
    // Blocking is fine: captures are small and in the page cache.
    let bytes = std::fs::read(dir.join(format!("{name}.resp")));
    let capture = bytes
        .ok()
        .and_then(Capture::parse)
        .ok_or_else(|| RequestError::NoCapture(name.to_owned()))?;
    Ok((capture, writes))
}

async fn send(stream: &mut TcpStream, capture: &Capture, writes: Writes) -> io::Result<()> {
    match writes {
        Writes::Whole => stream.write_all(capture.bytes()).await,
        Writes::Captured => {
            for piece in capture.pieces() {
                write(stream, piece).await?;
            }
            Ok(())
        }
        Writes::Bytes(size) => {
            for piece in capture.bytes().chunks(size.get()) {
                write(stream, piece).await?;
            }
            Ok(())
        }
    }
}

/// Writes and yields, so that the reader can run before the next write.
async fn write(stream: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
    stream.write_all(piece).await?;
    tokio::task::yield_now().await;
    Ok(())
}

async fn send_error(stream: &mut TcpStream, error: &RequestError, keep_alive: bool) -> io::Result<()> {
    let status = error.status();
    let message = error.to_string();
    let length = message.len();
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         connection: {connection}\r\n\r\n{message}"
    );
    stream.write_all(response.as_bytes()).await
}

/// Closes this side and gives the client a moment to close its own: unread bytes would turn the close into a reset, and
/// the client could lose the response.
async fn close(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    timeout(LINGER, discard_input(stream)).await.unwrap_or(Ok(()))
}

/// Reads until the client closes its side.
async fn discard_input(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
