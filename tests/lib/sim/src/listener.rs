//! Owns a listening socket and the tasks of its connections, which end when it is shut down or dropped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Pause after a failed accept: without a free file descriptor, the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Listener {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

// === impl Listener ===

impl Listener {
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
        // An error means that the task panicked or was aborted: it has ended either way.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
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
            // Without this, the set would keep every closed connection.
            Some(_) = connections.join_next() => continue,
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small writes have to reach the reader one by one. If the option fails, the socket is closed already.
        if stream.set_nodelay(true).is_ok() {
            connections.spawn(serve(stream));
        }
    }
    drop(listener);
    connections.shutdown().await;
}
