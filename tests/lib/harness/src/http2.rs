//! A scripted HTTP/2 client and server with prior knowledge: they reset streams, send GOAWAY, and send trailers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::capture::Response as Received;
use crate::upstream::Listener;
use crate::{PATIENCE, Result};

/// A client's connection. It is closed when this is dropped.
#[derive(Debug)]
pub struct Client {
    send: SendRequest<Bytes>,
    driving: JoinHandle<()>,
}

/// A request whose headers were sent.
#[derive(Debug)]
pub struct SentRequest {
    /// Sends the body.
    pub body: SendStream<Bytes>,
    response: ResponseFuture,
}

/// A response whose headers were received.
#[derive(Debug)]
pub struct IncomingResponse {
    /// As far as it was received.
    pub response: Received,
    /// The fields after the body.
    pub trailers: Option<HeaderMap>,
    body: RecvStream,
}

/// How a server shuts down its connection after its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goaway {
    /// It does not.
    Never,
    /// It sends GOAWAY and completes the requests that it has.
    Graceful,
    /// It aborts the connection as soon as the first script has ended.
    Abrupt,
}

/// A scripted server. It stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Client ===

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If the connection is not accepted, or the peer does not speak HTTP/2.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        // Tests cut responses into frames so small that the library would take them for an attack.
        builder.data_frame_budget(usize::MAX);
        let (send, connection) = timeout(PATIENCE, builder.handshake(stream))
            .await
            .map_err(|_| "no HTTP/2 in time")??;
        let driving = tokio::spawn(async move { _ = connection.await });
        Ok(Self { send, driving })
    }

    /// Sends a request's headers; `ends` if it has no body.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn open(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        ends: bool,
    ) -> Result<SentRequest> {
        let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = timeout(PATIENCE, self.send.clone().ready())
            .await
            .map_err(|_| "no stream in time")??;
        let (response, body) = send.send_request(request.body(())?, ends)?;
        Ok(SentRequest { body, response })
    }

    /// `POST`s a complete body. `x_sim` is the simulator's behaviour.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn post(&mut self, path: &str, x_sim: &str, body: &[u8]) -> Result<SentRequest> {
        let headers = [("content-type", "application/json"), ("x-sim", x_sim)];
        let mut sent = self.open("POST", path, &headers, false).await?;
        sent.body.send_data(Bytes::copy_from_slice(body), true)?;
        Ok(sent)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

// === impl SentRequest ===

impl SentRequest {
    /// Waits for the response's headers, and returns the request's body, too.
    ///
    /// # Errors
    /// If none are received.
    pub async fn headers(self) -> Result<(IncomingResponse, SendStream<Bytes>)> {
        let response = timeout(PATIENCE, self.response)
            .await
            .map_err(|_| "no headers in time")??;
        let (head, body) = response.into_parts();
        let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let response = Received {
            status: head.status.as_u16(),
            headers: head
                .headers
                .iter()
                .map(|(name, known)| (name.as_str().to_owned(), value(known)))
                .collect(),
            body: Vec::new(),
            complete: false,
        };
        let incoming = IncomingResponse {
            response,
            trailers: None,
            body,
        };
        Ok((incoming, self.body))
    }

    /// Waits for the response's end, be it a reset.
    ///
    /// # Errors
    /// If no headers are received, or no end.
    pub async fn response(self) -> Result<IncomingResponse> {
        // A stream whose sending half is dropped before it has ended is reset.
        let (mut incoming, _body) = self.headers().await?;
        incoming.end().await?;
        Ok(incoming)
    }
}

// === impl IncomingResponse ===

impl IncomingResponse {
    /// Waits until the body contains this.
    ///
    /// # Errors
    /// If it ends before.
    pub async fn wait_for(&mut self, part: &str) -> Result<()> {
        while !String::from_utf8_lossy(&self.response.body).contains(part) {
            if !self.more().await? {
                return Err(format!("the body ended without {part:?}").into());
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        loop {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.is::<h2::Error>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        match timeout(PATIENCE, self.body.trailers()).await? {
            Ok(trailers) => {
                self.trailers = trailers;
                self.response.complete = true;
            }
            Err(_) => self.response.complete = false,
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<bool> {
        match timeout(PATIENCE, self.body.data())
            .await
            .map_err(|_| "no more data in time")?
        {
            None => Ok(false),
            Some(data) => {
                let data = data?;
                self.body.flow_control().release_capacity(data.len())?;
                self.response.body.extend_from_slice(&data);
                Ok(true)
            }
        }
    }
}

// === impl Server ===

impl Server {
    /// Runs `script` on every request, given the number of requests before it.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start<F>(
        goaway: Goaway,
        script: impl Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> F + Clone + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = Listener::bind().await?;
        let addr = listener.addr;
        let count = Arc::new(AtomicUsize::new(0));
        let accepting = listener.serve(move |stream| {
            let (script, count) = (script.clone(), Arc::clone(&count));
            async move { _ = serve(stream, goaway, script, &count).await }
        });
        Ok(Self { addr, accepting })
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve<F>(
    stream: TcpStream,
    goaway: Goaway,
    script: impl Fn(Request<RecvStream>, SendResponse<Bytes>, usize) -> F,
    count: &AtomicUsize,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    stream.set_nodelay(true)?;
    let mut connection = h2::server::handshake(stream).await?;
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Some(()) = end.recv(), if goaway == Goaway::Abrupt => {
                connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
                continue;
            }
        };
        let Some(accepted) = accepted else { return Ok(()) };
        let (request, respond) = accepted?;
        if goaway == Goaway::Graceful {
            connection.graceful_shutdown();
        }
        let (run, ended) = (
            script(request, respond, count.fetch_add(1, Ordering::Relaxed)),
            ended.clone(),
        );
        tokio::spawn(async move {
            _ = run.await;
            _ = ended.send(());
        });
    }
}

/// Reads a request's body to its end, and its trailers.
///
/// # Errors
/// If it is reset.
pub async fn read_body(request: Request<RecvStream>) -> Result<(Vec<u8>, Option<HeaderMap>)> {
    let mut stream = request.into_body();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok((body, stream.trailers().await?))
}

/// Sends a response's headers.
///
/// # Errors
/// If the stream is reset.
pub fn send_headers(respond: &mut SendResponse<Bytes>, status: u16, content_type: &str) -> Result<SendStream<Bytes>> {
    let response = Response::builder().status(status).header("content-type", content_type);
    Ok(respond.send_response(response.body(())?, false)?)
}

/// Waits until the client resets the stream or its connection ends.
pub async fn wait_for_reset(stream: &mut SendStream<Bytes>) {
    _ = timeout(PATIENCE, std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
}
