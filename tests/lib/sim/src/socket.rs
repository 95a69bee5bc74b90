//! A TCP connection that reports what hyper does not: whether bytes handed to it still wait to be written. A body that is
//! about to abort the connection waits until none do, because unwritten bytes would be lost.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    backlog: Backlog,
}

/// Whether the last write blocked because the client reads too slowly. hyper writes all it holds before it goes idle, so
/// while it is idle this shows whether any bytes are left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<Mutex<WriteState>>);

#[derive(Debug, Default)]
struct WriteState {
    blocked: bool,
    waiting: Option<Waker>,
}

// === impl Backlog ===

impl Backlog {
    pub(crate) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.blocked {
            state.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn set(&self, blocked: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.blocked = blocked;
        if !blocked && let Some(waiting) = state.waiting.take() {
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

    fn record(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
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
        self.record(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.record(written)
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
