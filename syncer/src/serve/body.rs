//! An answer's body: bytes in small frames, with a hold on what must not end before the answer does.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::activity::Exchange;

/// A frame of HTTP/2 by default. hyper asks for the next frame when it has room for it, so the body lives about as
/// long as the client takes to read it; as one large frame it would be gone at once.
const FRAME: usize = 16 * 1024;

/// What is left to send.
#[derive(Debug, Default)]
pub struct Body {
    rest: Bytes,
    /// The exchange ends with its answer, however that ends.
    _exchange: Option<Exchange>,
    /// A page's place among those in memory.
    _place: Option<OwnedSemaphorePermit>,
}

// === impl Body ===

impl Body {
    /// A page that takes a place in memory until it is sent.
    pub fn page(page: Bytes, place: OwnedSemaphorePermit) -> Self {
        Self {
            rest: page,
            _place: Some(place),
            _exchange: None,
        }
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// The same, as a part of an exchange.
    pub fn of(self, exchange: Exchange) -> Self {
        Self {
            _exchange: Some(exchange),
            ..self
        }
    }
}

impl From<Bytes> for Body {
    fn from(rest: Bytes) -> Self {
        Self {
            rest,
            ..Self::default()
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let size = self.rest.len().min(FRAME);
        Poll::Ready((size > 0).then(|| Ok(Frame::data(self.rest.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_comes_whole_and_in_small_frames() {
        for size in [0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME + 7] {
            let bytes: Bytes = (0..size).map(|position| (position % 251) as u8).collect();
            let mut body = Body::from(bytes.clone());
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!((1..=FRAME).contains(&data.len()));
                read.extend_from_slice(&data);
            }
            assert_eq!(read, bytes);
        }
    }
}
