//! A server that does what a test tells it, connection by connection, and hands over what it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;
use crate::envoy::loopback;
use crate::message::{Kind, Message};
use crate::wire::Wire;

/// A scripted server. It ends when this is dropped.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<Message>>>,
    accepting: JoinHandle<()>,
}

// === impl Upstream ===

impl Upstream {
    /// Runs `script` on every connection. One that fails ends its connection, which its client then tells.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start<F>(script: impl Fn(Wire) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listening = Listening::bind().await?;
        Ok(Self {
            addr: listening.addr,
            requests: Arc::default(),
            accepting: listening.serve(move |stream| {
                let wire = Wire::new(stream);
                let run = wire.map(&script);
                async move {
                    if let Ok(run) = run {
                        _ = run.await;
                    }
                }
            }),
        })
    }

    /// Reads request after request and lets `answer` answer each, with the number of requests before it; keeps the
    /// requests. The connection goes on while `answer` gives it back.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn answering<F>(
        answer: impl Fn(Wire, Message, usize) -> F + Clone + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<Option<Wire>>> + Send + 'static,
    {
        let requests: Arc<Mutex<Vec<Message>>> = Arc::default();
        let keep = Arc::clone(&requests);
        let mut upstream = Self::start(move |mut wire| {
            let (keep, answer) = (Arc::clone(&keep), answer.clone());
            async move {
                loop {
                    let request = wire.message(Kind::Request).await?;
                    let before = {
                        let mut keep = keep.lock().map_err(|_| "a script panicked")?;
                        keep.push(request.clone());
                        keep.len() - 1
                    };
                    match answer(wire, request, before).await? {
                        Some(same) => wire = same,
                        None => return Ok(()),
                    }
                }
            }
        })
        .await?;
        upstream.requests = requests;
        Ok(upstream)
    }

    /// Answers every request with these bytes, and closes.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn saying(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::answering(move |mut wire, _, _| {
            let bytes = Arc::clone(&bytes);
            async move { wire.send(&bytes).await.map(|()| None) }
        })
        .await
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests that [`Self::answering`] has read so far.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A socket that accepts on loopback.
pub(crate) struct Listening {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
}

// === impl Listening ===

impl Listening {
    pub(crate) async fn bind() -> Result<Self> {
        let listener = TcpListener::bind(loopback(0)).await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    /// A task for each connection; all end with the handle's.
    pub(crate) fn serve<F>(self, serve: impl Fn(TcpStream) -> F + Send + 'static) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = self.listener.accept().await {
                connections.spawn(serve(stream));
            }
        })
    }
}
