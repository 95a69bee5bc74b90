//! A model server whose responses are as large as the request wants, generated while they are sent.
//!
//! The query selects one: `?json=N` a document of about N bytes, `?event=N` a stream with one event of about N bytes,
//! `?events=N` a stream of N events. Each reports a usage of 5 and 8 tokens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const PIECE: usize = 64 * 1024;
const USAGE: &str = r#""usage":{"prompt_tokens":5,"completion_tokens":8}"#;

/// The server. It stops when this is dropped.
#[derive(Debug)]
pub struct Flood {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

// === impl Flood ===

impl Flood {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // An error is a client that disconnected.
                tokio::spawn(async move { _ = serve(stream).await });
            }
        });
        Ok(Self { addr, task })
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Responds to one request and closes the connection. The request's small body is left unread.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let wanted = |what: &str| {
        let (_, after) = request.split_once(&format!("?{what}="))?;
        after.split(' ').next()?.parse::<usize>().ok()
    };
    if let Some(size) = wanted("json") {
        head(&mut stream, "application/json").await?;
        stream
            .write_all(br#"{"model":"tiny","choices":[{"finish_reason":"stop","message":{"content":""#)
            .await?;
        repeat(&mut stream, b"words and \\\"quotes\\\" ", size).await?;
        stream.write_all(format!(r#""}}}}],{USAGE}}}"#).as_bytes()).await?;
    } else if let Some(size) = wanted("event") {
        head(&mut stream, "text/event-stream").await?;
        stream
            .write_all(br#"data: {"model":"tiny","choices":[{"delta":{"content":""#)
            .await?;
        repeat(&mut stream, b"words and \\\"quotes\\\" ", size).await?;
        stream.write_all(format!(r#""}}}}],{USAGE}}}"#).as_bytes()).await?;
        stream.write_all(b"\n\ndata: [DONE]\n\n").await?;
    } else if let Some(count) = wanted("events") {
        head(&mut stream, "text/event-stream").await?;
        let event = b"data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n";
        repeat(&mut stream, event, count * event.len()).await?;
        stream
            .write_all(format!("data: {{\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n").as_bytes())
            .await?;
    }
    stream.shutdown().await
}

async fn head(stream: &mut TcpStream, content_type: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await
}

/// Writes complete copies of `part`, `size` bytes or a little more.
async fn repeat(stream: &mut TcpStream, part: &[u8], size: usize) -> io::Result<()> {
    let piece = part.repeat(PIECE / part.len());
    let mut remaining = size;
    while remaining > 0 {
        let now = if remaining > piece.len() {
            piece.len()
        } else {
            remaining.div_ceil(part.len()) * part.len()
        };
        stream.write_all(piece.get(..now).unwrap_or(&piece)).await?;
        remaining = remaining.saturating_sub(now);
    }
    Ok(())
}
