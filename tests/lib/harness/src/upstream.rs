//! A scripted HTTP/1.1 server that keeps the requests it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;
use crate::connection::Connection;
use crate::envoy::loopback;
use crate::message::{Kind, Message};

/// The server. It stops when this is dropped.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<Message>>>,
    accepting: JoinHandle<()>,
}

// === impl Upstream ===

impl Upstream {
    /// Runs `script` on every connection. A script that fails closes its connection, and its client's test reports that.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start<F>(script: impl Fn(Connection) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = Listener::bind().await?;
        Ok(Self {
            addr: listener.addr,
            requests: Arc::default(),
            accepting: listener.serve(move |stream| {
                let run = Connection::new(stream).map(&script);
                async move {
                    if let Ok(run) = run {
                        _ = run.await;
                    }
                }
            }),
        })
    }

    /// Reads requests and has `respond` respond to each, given the number of requests before it. The connection is kept
    /// alive as long as `respond` returns it.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn responding<F>(
        respond: impl Fn(Connection, Message, usize) -> F + Clone + Send + Sync + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<Option<Connection>>> + Send + 'static,
    {
        let requests: Arc<Mutex<Vec<Message>>> = Arc::default();
        let keep = Arc::clone(&requests);
        let mut upstream = Self::start(move |mut connection| {
            let (keep, respond) = (Arc::clone(&keep), respond.clone());
            async move {
                loop {
                    let request = connection.read_message(Kind::Request).await?;
                    let before = {
                        let mut keep = keep.lock().map_err(|_| "a script panicked")?;
                        keep.push(request.clone());
                        keep.len() - 1
                    };
                    match respond(connection, request, before).await? {
                        Some(same) => connection = same,
                        None => return Ok(()),
                    }
                }
            }
        })
        .await?;
        upstream.requests = requests;
        Ok(upstream)
    }

    /// Responds to every request with these bytes and closes.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn replying(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::responding(move |mut connection, _, _| {
            let bytes = Arc::clone(&bytes);
            async move { connection.send(&bytes).await.map(|()| None) }
        })
        .await
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests that [`Self::responding`] has read so far.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A listening socket on loopback.
pub(crate) struct Listener {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
}

// === impl Listener ===

impl Listener {
    pub(crate) async fn bind() -> Result<Self> {
        let listener = TcpListener::bind(loopback(0)).await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    /// Serves each connection in a task; all end with the returned one.
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
