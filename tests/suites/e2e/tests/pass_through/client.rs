//! The clients that a case may have: each sends it in its own protocol, and tells what came back.

use std::net::SocketAddr;

use h2::Reason;
use http::{HeaderMap, HeaderName};
use infertally_harness::Result;
use infertally_harness::http2;
use infertally_harness::message::{Framing, Kind, Message};
use infertally_harness::wire::Wire;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::cases::{Case, Cut};
use crate::stage::{LAST, head, part};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Http1,
    /// It knows no chunks, and an answer of unknown length ends with the connection.
    Http10,
    Http2,
}

// === impl Client ===

impl Client {
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http10, Self::Http2];
}

// === impl Case ===

impl Case {
    /// Plays the client's part; `None` where it went away. `came` tells that the server has all that is sent before that.
    pub async fn ask(&self, envoy: SocketAddr, came: &mut UnboundedReceiver<()>) -> Result<Option<Message>> {
        match self.client {
            Client::Http1 | Client::Http10 => self.ask_over_http1(envoy, came).await,
            Client::Http2 => self.ask_over_http2(envoy, came).await,
        }
    }

    async fn ask_over_http1(&self, envoy: SocketAddr, came: &mut UnboundedReceiver<()>) -> Result<Option<Message>> {
        let mut wire = Wire::connect(envoy).await?;
        for write in self.request() {
            wire.send(write).await?;
            tokio::task::yield_now().await;
        }
        match self.cut {
            Some(Cut::Client(_)) => {
                came.recv().await;
                Ok(None)
            }
            Some(Cut::HalfClose) => {
                came.recv().await;
                wire.half_close().await?;
                match wire.closed().await?.as_slice() {
                    [] => Ok(None),
                    bytes => Err(format!("Envoy says {:?}", String::from_utf8_lossy(bytes)).into()),
                }
            }
            Some(Cut::Server(_)) | None if self.method == "HEAD" => Ok(Some(wire.message(Kind::AnswerToHead).await?)),
            Some(Cut::Server(_)) | None => Ok(Some(wire.message(Kind::Answer).await?)),
        }
    }

    async fn ask_over_http2(&self, envoy: SocketAddr, came: &mut UnboundedReceiver<()>) -> Result<Option<Message>> {
        let mut client = http2::Client::connect(envoy).await?;
        let framing = &self.request.framing;
        let length = framing.header(self.request_length());
        let length = length.filter(|(name, _)| *name == "content-length");
        let headers = self.request.headers.iter().chain(&length);
        let headers: Vec<_> = headers.map(|(name, value)| (*name, value.as_str())).collect();
        let parts = self.request_parts();
        // The end comes with the last part: before one of its own the server could answer what is long enough.
        let ends_after = (framing.trailers().is_empty() && !self.leaves()).then_some(parts.len());
        let mut sent = client
            .open(self.method, self.path, &headers, ends_after == Some(0))
            .await?;
        for (part, number) in parts.into_iter().zip(1..) {
            sent.body.send_data(part.into(), ends_after == Some(number))?;
            tokio::task::yield_now().await;
        }
        if self.leaves() {
            came.recv().await;
            sent.body.send_reset(Reason::CANCEL);
            return Ok(None);
        }
        if ends_after.is_none() {
            let mut trailers = HeaderMap::new();
            for (name, value) in framing.trailers() {
                trailers.append(HeaderName::from_static(name), value.parse()?);
            }
            sent.body.send_trailers(trailers)?;
        }
        let coming = sent.answer().await?;
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let trailers = coming.trailers.unwrap_or_default();
        Ok(Some(Message {
            line: coming.answer.status.to_string(),
            headers: coming.answer.headers,
            // Frames are as good.
            framing: Framing::Chunked,
            body: coming.answer.body,
            trailers: trailers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            whole: coming.answer.whole,
        }))
    }

    /// The request's bytes, write by write.
    fn request(&self) -> Vec<Vec<u8>> {
        let version = if self.client == Client::Http10 {
            "HTTP/1.0"
        } else {
            "HTTP/1.1"
        };
        let line = format!("{} {} {version}", self.method, self.path);
        let framing = &self.request.framing;
        let mut writes = vec![head(
            &line,
            &self.request,
            self.request_length(),
            true,
            "host: test\r\n",
        )];
        writes.extend(self.request_parts().iter().map(|part| framing.piece(part)));
        if !self.leaves() {
            writes.push(framing.end());
        }
        writes
    }

    /// What the client sends of its body, cut as it is written.
    fn request_parts(&self) -> Vec<Vec<u8>> {
        let body = self.request.body.bytes();
        let framing = &self.request.framing;
        let Some(Cut::Client(at)) = self.cut else {
            return framing.parts(&body);
        };
        let mut parts = framing.parts(part(&body, at));
        parts.push(LAST.to_vec());
        parts
    }

    /// How long the body is, as the client says.
    fn request_length(&self) -> usize {
        let length = self.request.body.bytes().len();
        if self.leaves() { length + LAST.len() + 1 } else { length }
    }

    pub fn leaves(&self) -> bool {
        matches!(self.cut, Some(Cut::Client(_)))
    }
}
