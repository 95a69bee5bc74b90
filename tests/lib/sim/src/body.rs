//! [`Body`] that sends a list of steps.
//!
//! Between two frames the body is pending once: hyper flushes whenever a body is pending, so each frame reaches the socket
//! in a write of its own.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::metrics::InFlightGuard;
use crate::socket::Backlog;
use crate::step::{self, Step};

/// The wait before an abort, so that earlier frames are not lost. On HTTP/1 they are written once the body was pending
/// and the socket has no backlog; on HTTP/2 another task writes them, which takes far less than this.
const SETTLE: Duration = Duration::from_millis(20);

/// Dropping it before its end counts the request as aborted.
#[derive(Debug, Default)]
pub(crate) struct PlannedBody {
    steps: VecDeque<Step>,
    length: Option<u64>,
    state: State,
    request: Option<InFlightGuard>,
    backlog: Backlog,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ready,
    /// A frame was sent and has to be flushed.
    Flushing,
    Waiting(Pin<Box<Sleep>>),
    Settling(Pin<Box<Sleep>>),
}

// === impl PlannedBody ===

impl PlannedBody {
    /// A body of known length in one frame.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let steps = vec![Step::Frame(bytes.into())];
        let length = step::length(&steps);
        Self::from_steps(if length == 0 { Vec::new() } else { steps }, Some(length))
    }

    /// A body of these steps. A known `length` goes into the headers even if the steps send fewer bytes.
    pub(crate) fn from_steps(steps: Vec<Step>, length: Option<u64>) -> Self {
        Self {
            steps: steps.into(),
            length,
            ..Self::default()
        }
    }

    /// Aborts the connection after `at` bytes of the body.
    pub(crate) fn cut(self, at: u64) -> Self {
        Self {
            steps: step::cut(self.steps.into(), at).into(),
            ..self
        }
    }

    /// Ties the body to the connection with this backlog.
    pub(crate) fn over(self, backlog: Backlog) -> Self {
        Self { backlog, ..self }
    }

    /// Counts the request as running until the body ends.
    pub(crate) fn holding(self, request: InFlightGuard) -> Self {
        Self {
            request: Some(request),
            ..self
        }
    }
}

impl Body for PlannedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Ready => {}
                State::Flushing => {
                    this.state = State::Ready;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Waiting(sleep) => {
                    std::task::ready!(sleep.as_mut().poll(cx));
                    this.state = State::Ready;
                }
                State::Settling(sleep) => {
                    if !sleep.is_elapsed() {
                        std::task::ready!(sleep.as_mut().poll(cx));
                    }
                    std::task::ready!(this.backlog.poll_empty(cx));
                    return Poll::Ready(Some(Err(aborted())));
                }
            }
            match this.steps.pop_front() {
                None => {
                    this.finish();
                    return Poll::Ready(None);
                }
                Some(Step::Frame(frame)) => {
                    if this.steps.is_empty() {
                        // Not when the body is dropped: a client that has the complete response may scrape the
                        // number of running requests at once.
                        this.finish();
                    } else {
                        this.state = State::Flushing;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(frame))));
                }
                Some(Step::Wait(time)) => this.state = State::Waiting(Box::pin(sleep(time))),
                Some(Step::Abort) => this.state = State::Settling(Box::pin(sleep(SETTLE))),
                Some(Step::Hang) => {
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && matches!(self.state, State::Ready)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl PlannedBody {
    fn finish(&mut self) {
        if let Some(request) = self.request.take() {
            request.finish();
        }
    }
}

/// The error that makes hyper abort the connection.
pub(crate) fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "aborted by x-sim")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use hyper::service::service_fn;
    use hyper::{Response, server::conn::http1};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// A socket that holds one request and records every write.
    struct RecordingSocket {
        request: &'static [u8],
        writes: Arc<Mutex<Vec<Vec<u8>>>>,
    }

    impl AsyncRead for RecordingSocket {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.request.is_empty() {
                return Poll::Pending;
            }
            buf.put_slice(std::mem::take(&mut self.request));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for RecordingSocket {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.writes.lock().unwrap().push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The writes of a response with this body, without its head, and whether the connection failed.
    async fn writes(steps: fn() -> (Vec<Step>, Option<u64>)) -> (Vec<String>, bool) {
        let writes = Arc::default();
        let request = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
        let socket = RecordingSocket {
            request,
            writes: Arc::clone(&writes),
        };
        let service = service_fn(move |_| async move {
            let (steps, length) = steps();
            Ok::<_, Infallible>(Response::new(PlannedBody::from_steps(steps, length)))
        });
        let failed = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service)
            .await
            .is_err();
        let writes = writes.lock().unwrap();
        let mut texts: Vec<String> = writes
            .iter()
            .map(|write| String::from_utf8(write.clone()).unwrap())
            .collect();
        if let Some(first) = texts.first_mut() {
            *first = first.split_once("\r\n\r\n").unwrap().1.to_owned();
        }
        (texts, failed)
    }

    fn frame(text: &'static str) -> Step {
        Step::Frame(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn every_frame_of_a_chunked_body_is_one_write() {
        let (writes, failed) = writes(|| (vec![frame("one"), frame("two"), frame("three")], None)).await;
        assert_eq!(writes, ["3\r\none\r\n", "3\r\ntwo\r\n", "5\r\nthree\r\n0\r\n\r\n"]);
        assert!(!failed);
    }

    #[tokio::test]
    async fn every_frame_of_a_body_with_a_length_is_one_write() {
        let (writes, failed) = writes(|| (vec![frame("one"), frame("two")], Some(6))).await;
        assert_eq!(writes, ["one", "two"]);
        assert!(!failed);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_before_an_abort_are_written() {
        let (writes, failed) = writes(|| (vec![frame("one"), Step::Abort], None)).await;
        assert_eq!(writes, ["3\r\none\r\n"]);
        assert!(failed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_comes_after_the_flush_of_the_frame_before_it() {
        let start = tokio::time::Instant::now();
        let second = Duration::from_secs(1);
        let mut body = PlannedBody::from_steps(vec![frame("one"), Step::Wait(second), frame("two")], None);
        let mut next = async || {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            frame.map(|frame| frame.unwrap().into_data().unwrap())
        };
        assert_eq!(next().await.unwrap(), "one");
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(next().await.unwrap(), "two");
        assert!(start.elapsed() >= second, "{:?}", start.elapsed());
        assert!(next().await.is_none());
    }
}
