//! A close that does not undo what was sent. A system that closes a socket with bytes unread tells its peer to forget
//! what it has not read yet (RFC 1122, section 4.2.2.13): the end of our answer, when the client still sends a body or
//! frames of HTTP/2.

use std::io::{IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What is read of a client that goes on sending: frames that were on their way, or a small body. More is a client that
/// does not listen.
const UNREAD_BYTES: usize = 64 * 1024;

/// How much of it at a time.
const READ_BYTES: usize = 4 * 1024;

/// A stream whose shutdown waits for the client's own end, for a while.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: S,
    patience: Duration,
    closing: Option<Closing>,
}

/// Our side is closed.
#[derive(Debug)]
struct Closing {
    over: Pin<Box<Sleep>>,
    /// Bytes that may yet come.
    left: usize,
}

// === impl Lingering ===

impl<S> Lingering<S> {
    /// A stream that waits for so long when it is shut down.
    pub fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            closing: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self {
            stream,
            patience,
            closing,
        } = self.get_mut();
        let Closing { over, left } = match closing {
            Some(closing) => closing,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                closing.insert(Closing {
                    over: Box::pin(sleep(*patience)),
                    left: UNREAD_BYTES,
                })
            }
        };
        // Before the reads: a client that sends without end leaves no time after them.
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        while *left > 0 {
            let mut buffer = ReadBuf::uninit(&mut space);
            // An error is an end, too.
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)).map(|()| buffer.filled().len());
            match read {
                Ok(count) if count > 0 => *left = left.saturating_sub(count),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn the_client_s_end_is_the_end() {
        let (ours, mut theirs) = duplex(1024);
        let mut ours = Lingering::new(ours, NEVER);
        ours.write_all(b"answer").await.unwrap();
        theirs.write_all(b"unread").await.unwrap();
        let closing = tokio::spawn(async move { ours.shutdown().await });
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert!(!closing.is_finished());
        drop(theirs);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_without_an_end_is_waited_for_no_longer_than_the_patience() {
        let (ours, _theirs) = duplex(1024);
        Lingering::new(ours, Duration::from_millis(20))
            .shutdown()
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_client_that_goes_on_sending_is_left() {
        let (ours, mut theirs) = duplex(1024);
        let mut ours = Lingering::new(ours, NEVER);
        let sending = tokio::spawn(async move { while theirs.write_all(&[0; 512]).await.is_ok() {} });
        timeout(NEVER, ours.shutdown()).await.unwrap().unwrap();
        drop(ours);
        sending.await.unwrap();
    }
}
