//! Owns a listening socket and the tasks of its connections: they end when it is shut down or dropped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// A failed accept, such as one without a free file descriptor, would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A server's socket.
#[derive(Debug)]
pub(crate) struct Listening {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

// === impl Listening ===

impl Listening {
    /// Binds and serves each connection in a task of its own.
    pub(crate) async fn start<F>(addr: SocketAddr, serve: impl Fn(TcpStream) -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, serve, stopped));
        Ok(Self {
            addr,
            stop: Some(stop),
            task,
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the socket and every connection; returns when they are closed.
    pub(crate) async fn shutdown(mut self) {
        self.stop = None;
        // An error says that the task panicked or was aborted: it has ended either way.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F, mut stopped: oneshot::Receiver<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Ended connections are forgotten as they end.
            Some(_) = connections.join_next() => continue,
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small writes have to reach the reader one by one; a socket that refuses this is gone already.
        if stream.set_nodelay(true).is_ok() {
            connections.spawn(serve(stream));
        }
    }
    drop(listener);
    connections.shutdown().await;
}
