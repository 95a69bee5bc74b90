//! The clients of a case: each sends it over its own version of HTTP and returns the response.

use std::net::SocketAddr;

use h2::Reason;
use http::{HeaderMap, HeaderName};
use infertally_harness::Result;
use infertally_harness::connection::Connection;
use infertally_harness::http2;
use infertally_harness::message::{Framing, Kind, Message};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::cases::{Case, Cut};
use crate::stage::{LAST, head, part};

/// A client's version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Http1,
    /// Without chunks: a response of unknown length ends with the connection.
    Http10,
    Http2,
}

// === impl Client ===

impl Client {
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http10, Self::Http2];
}

// === impl Case ===

impl Case {
    /// Sends the request and returns the response; `None` if the client disconnects. `received` reports that the server has
    /// all that is sent before that.
    pub async fn send(&self, envoy: SocketAddr, received: &mut UnboundedReceiver<()>) -> Result<Option<Message>> {
        match self.client {
            Client::Http1 | Client::Http10 => self.send_over_http1(envoy, received).await,
            Client::Http2 => self.send_over_http2(envoy, received).await,
        }
    }

    async fn send_over_http1(
        &self,
        envoy: SocketAddr,
        received: &mut UnboundedReceiver<()>,
    ) -> Result<Option<Message>> {
        let mut connection = Connection::connect(envoy).await?;
        for write in self.request() {
            connection.send(write).await?;
            tokio::task::yield_now().await;
        }
        match self.cut {
            Some(Cut::Client(_)) => {
                received.recv().await;
                Ok(None)
            }
            Some(Cut::HalfClose) => {
                received.recv().await;
                connection.half_close().await?;
                match connection.wait_for_close().await?.as_slice() {
                    [] => Ok(None),
                    bytes => Err(format!("Envoy sent {:?}", String::from_utf8_lossy(bytes)).into()),
                }
            }
            Some(Cut::Server(_)) | None if self.method == "HEAD" => {
                Ok(Some(connection.read_message(Kind::ResponseToHead).await?))
            }
            Some(Cut::Server(_)) | None => Ok(Some(connection.read_message(Kind::Response).await?)),
        }
    }

    async fn send_over_http2(
        &self,
        envoy: SocketAddr,
        received: &mut UnboundedReceiver<()>,
    ) -> Result<Option<Message>> {
        let mut client = http2::Client::connect(envoy).await?;
        let framing = &self.request.framing;
        let length = framing.header(self.request_length());
        let length = length.filter(|(name, _)| *name == "content-length");
        let headers = self.request.headers.iter().chain(&length);
        let headers: Vec<_> = headers.map(|(name, value)| (*name, value.as_str())).collect();
        let parts = self.request_parts();
        // The last part has END_STREAM: before a frame of its own the server could respond to a body of full length.
        let ends_after = (framing.trailers().is_empty() && !self.disconnects()).then_some(parts.len());
        let mut sent = client
            .open(self.method, self.path, &headers, ends_after == Some(0))
            .await?;
        for (part, number) in parts.into_iter().zip(1..) {
            sent.body.send_data(part.into(), ends_after == Some(number))?;
            tokio::task::yield_now().await;
        }
        if self.disconnects() {
            received.recv().await;
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
        let incoming = sent.response().await?;
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let trailers = incoming.trailers.unwrap_or_default();
        Ok(Some(Message {
            line: incoming.response.status.to_string(),
            headers: incoming.response.headers,
            // HTTP/2's frames show the same.
            framing: Framing::Chunked,
            body: incoming.response.body,
            trailers: trailers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            complete: incoming.response.complete,
        }))
    }

    /// The request's writes.
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
        if !self.disconnects() {
            writes.push(framing.end());
        }
        writes
    }

    /// The parts of the body that the client sends.
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

    /// The length that the client announces.
    fn request_length(&self) -> usize {
        let length = self.request.body.bytes().len();
        if self.disconnects() {
            length + LAST.len() + 1
        } else {
            length
        }
    }

    pub fn disconnects(&self) -> bool {
        matches!(self.cut, Some(Cut::Client(_)))
    }
}
