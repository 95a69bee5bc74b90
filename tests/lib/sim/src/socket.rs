//! Owns the one thing about a connection that hyper does not tell: whether bytes it was given still wait to be written.
//! A body that is about to abort the connection waits for that, since what is not written then is lost.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection that keeps its backlog up to date.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    backlog: Backlog,
}

/// Whether the last write was refused because the client reads too slowly. hyper tries to write all it holds before it
/// rests, so at rest this says whether anything is left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<Mutex<Stalled>>);

#[derive(Debug, Default)]
struct Stalled {
    is: bool,
    waiting: Option<Waker>,
}

// === impl Backlog ===

impl Backlog {
    /// Ready when nothing waits to be written.
    pub(crate) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut stalled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stalled.is {
            stalled.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn set(&self, is_stalled: bool) {
        let mut stalled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stalled.is = is_stalled;
        if !is_stalled && let Some(waiting) = stalled.waiting.take() {
            waiting.wake();
        }
    }
}

// === impl Socket ===

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            backlog: Backlog::default(),
        }
    }

    pub(crate) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.backlog.set(written.is_pending());
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
