//! Owns [`Replay`]: a server that sends captured answers byte for byte, over plain TCP so that no HTTP library
//! touches them.
//!
//! A request names its capture in `x-sim-replay`; `x-sim-chunk` says how it is cut into writes (`whole`, `captured` or
//! a number of bytes) and `x-sim-end: hang` keeps the connection open after a capture that was cut short.

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
use self::request::{Reader, Refused, Request};
use crate::listen::Listening;

/// How long a connection that is done waits for the client to close its side.
const PARTING: Duration = Duration::from_secs(1);

/// What a [`Replay`] is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of the captures, `NAME.resp` each.
    pub dir: PathBuf,
}

/// A server of captured answers. Dropping it closes its socket and its connections.
#[derive(Debug)]
pub struct Replay {
    listening: Listening,
}

/// How an answer is cut into writes.
#[derive(Clone, Copy)]
enum Cut {
    Whole,
    Captured,
    Bytes(NonZeroUsize),
}

// === impl Replay ===

impl Replay {
    /// Binds and serves until [`Replay::shutdown`] or drop. The error is that of binding.
    pub async fn start(config: ReplayConfig) -> io::Result<Self> {
        let dir: Arc<Path> = config.dir.into();
        let serve = move |stream| {
            let dir = Arc::clone(&dir);
            async move {
                // An error is a client that went away.
                let _ = serve(stream, &dir).await;
            }
        };
        Ok(Self {
            listening: Listening::start(config.listen, serve).await?,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr()
    }

    /// Closes the socket and every connection; returns when they are closed.
    pub async fn shutdown(self) {
        self.listening.shutdown().await;
    }
}

async fn serve(mut stream: TcpStream, dir: &Path) -> io::Result<()> {
    let mut reader = Reader::default();
    loop {
        let request = match reader.next(&mut stream).await? {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(refused) => {
                tell(&mut stream, &refused, false).await?;
                return part(stream).await;
            }
        };
        let keep = !request.closes();
        match answer(&request, dir) {
            Ok((capture, cut)) => {
                send(&mut stream, &capture, cut).await?;
                if !capture.is_complete() && request.header("x-sim-end") == Some("hang") {
                    return until_gone(stream).await;
                }
                if !capture.is_complete() || capture.closes() || !keep {
                    return part(stream).await;
                }
            }
            Err(refused) => {
                tell(&mut stream, &refused, keep).await?;
                if !keep {
                    return part(stream).await;
                }
            }
        }
    }
}

fn answer(request: &Request, dir: &Path) -> Result<(Capture, Cut), Refused> {
    let cut = match request.header("x-sim-chunk") {
        None | Some("whole") => Cut::Whole,
        Some("captured") => Cut::Captured,
        Some(size) => Cut::Bytes(size.parse().map_err(|_| Refused::Chunk(size.to_owned()))?),
    };
    let name = request.header("x-sim-replay").ok_or(Refused::NoName)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Refused::NoCapture(name.to_owned()));
    }
    // Captures are small and in the page cache: a thread for each read would cost more than it frees.
    let bytes = std::fs::read(dir.join(format!("{name}.resp")));
    let capture = bytes
        .ok()
        .and_then(Capture::read)
        .ok_or_else(|| Refused::NoCapture(name.to_owned()))?;
    Ok((capture, cut))
}

async fn send(stream: &mut TcpStream, capture: &Capture, cut: Cut) -> io::Result<()> {
    match cut {
        Cut::Whole => stream.write_all(capture.bytes()).await,
        Cut::Captured => {
            for piece in capture.pieces() {
                write(stream, piece).await?;
            }
            Ok(())
        }
        Cut::Bytes(size) => {
            for piece in capture.bytes().chunks(size.get()) {
                write(stream, piece).await?;
            }
            Ok(())
        }
    }
}

/// One write of its own: the reader may run before the next.
async fn write(stream: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
    stream.write_all(piece).await?;
    tokio::task::yield_now().await;
    Ok(())
}

async fn tell(stream: &mut TcpStream, refused: &Refused, keep: bool) -> io::Result<()> {
    let status = refused.status();
    let message = refused.to_string();
    let length = message.len();
    let connection = if keep { "keep-alive" } else { "close" };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         connection: {connection}\r\n\r\n{message}"
    );
    stream.write_all(answer.as_bytes()).await
}

/// Closes this side and gives the client a moment to close its own: bytes that were sent and not read would reset the
/// connection, and the answer could be lost with it.
async fn part(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    timeout(PARTING, until_gone(stream)).await.unwrap_or(Ok(()))
}

async fn until_gone(mut stream: TcpStream) -> io::Result<()> {
    let mut scrap = [0; 1024];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}
