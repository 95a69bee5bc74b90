//! HTTP/2 with prior knowledge in the hands of a test, on both sides of an Envoy: streams that are reset, connections
//! that are given up, and trailers.

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

use crate::capture::Answer;
use crate::upstream::Listening;
use crate::{PATIENCE, Result};

/// A client's connection. It is closed when this is dropped.
#[derive(Debug)]
pub struct Client {
    send: SendRequest<Bytes>,
    driving: JoinHandle<()>,
}

/// A request under way.
#[derive(Debug)]
pub struct Sent {
    /// The rest of the request.
    pub body: SendStream<Bytes>,
    answer: ResponseFuture,
}

/// An answer under way.
#[derive(Debug)]
pub struct Coming {
    /// As far as it came.
    pub answer: Answer,
    /// What came after the body.
    pub trailers: Option<HeaderMap>,
    body: RecvStream,
}

/// What a server does to its connection once its first request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goaway {
    /// Nothing.
    Never,
    /// It takes no more requests, and answers those that it has.
    Graceful,
    /// The same, and gives those up, too, as soon as the script says so.
    Abrupt,
}

/// A scripted server. It ends when this is dropped.
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
    /// If nobody accepts and speaks HTTP/2.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        // Tests cut answers into pieces so small that the library would take them for an attack.
        builder.data_frame_budget(usize::MAX);
        let (send, connection) = timeout(PATIENCE, builder.handshake(stream))
            .await
            .map_err(|_| "no HTTP/2 in time")??;
        let driving = tokio::spawn(async move { _ = connection.await });
        Ok(Self { send, driving })
    }

    /// Sends a request's headers; `ends` says that it has no body.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn open(&mut self, method: &str, path: &str, headers: &[(&str, &str)], ends: bool) -> Result<Sent> {
        let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = timeout(PATIENCE, self.send.clone().ready())
            .await
            .map_err(|_| "no stream in time")??;
        let (answer, body) = send.send_request(request.body(())?, ends)?;
        Ok(Sent { body, answer })
    }

    /// `POST`s a body whole.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn post(&mut self, path: &str, x_sim: &str, body: &[u8]) -> Result<Sent> {
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

// === impl Sent ===

impl Sent {
    /// Waits for the answer's headers; what is left of `self` can still end the request.
    ///
    /// # Errors
    /// If none come.
    pub async fn headers(self) -> Result<(Coming, SendStream<Bytes>)> {
        let response = timeout(PATIENCE, self.answer)
            .await
            .map_err(|_| "no headers in time")??;
        let (head, body) = response.into_parts();
        let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let answer = Answer {
            status: head.status.as_u16(),
            headers: head
                .headers
                .iter()
                .map(|(name, known)| (name.as_str().to_owned(), value(known)))
                .collect(),
            body: Vec::new(),
            whole: false,
        };
        let coming = Coming {
            answer,
            trailers: None,
            body,
        };
        Ok((coming, self.body))
    }

    /// Waits for the whole answer; where it is broken off, for as much as comes.
    ///
    /// # Errors
    /// If no headers come, or no end.
    pub async fn answer(self) -> Result<Coming> {
        // A stream whose sending half is dropped before it has ended is reset.
        let (mut coming, _body) = self.headers().await?;
        coming.end().await?;
        Ok(coming)
    }
}

// === impl Coming ===

impl Coming {
    /// Waits until the body holds this.
    ///
    /// # Errors
    /// If it ends before.
    pub async fn see(&mut self, part: &str) -> Result<()> {
        while !String::from_utf8_lossy(&self.answer.body).contains(part) {
            if !self.more().await? {
                return Err(format!("no {part:?} in it").into());
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
                self.answer.whole = true;
            }
            Err(_) => self.answer.whole = false,
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
                self.answer.body.extend_from_slice(&data);
                Ok(true)
            }
        }
    }
}

// === impl Server ===

impl Server {
    /// Runs `script` on every request, with the number of requests before it. For [`Goaway::Abrupt`] the connection is
    /// given up when the first script has ended.
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
        let listening = Listening::bind().await?;
        let addr = listening.addr;
        let count = Arc::new(AtomicUsize::new(0));
        let accepting = listening.serve(move |stream| {
            let (script, count) = (script.clone(), Arc::clone(&count));
            async move { _ = serve(stream, goaway, script, &count).await }
        });
        Ok(Self { addr, accepting })
    }

    /// Where it listens.
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
/// If it is broken off.
pub async fn whole(request: Request<RecvStream>) -> Result<(Vec<u8>, Option<HeaderMap>)> {
    let mut stream = request.into_body();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok((body, stream.trailers().await?))
}

/// Sends an answer's headers.
///
/// # Errors
/// If the stream is gone.
pub fn head(respond: &mut SendResponse<Bytes>, status: u16, content_type: &str) -> Result<SendStream<Bytes>> {
    let response = Response::builder().status(status).header("content-type", content_type);
    Ok(respond.send_response(response.body(())?, false)?)
}

/// Waits until the client has reset the stream, or its connection is gone.
pub async fn given_up(stream: &mut SendStream<Bytes>) {
    _ = timeout(PATIENCE, std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
}
