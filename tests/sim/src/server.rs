//! Owns the life of a [`Sim`]: its socket, its connections and what a test may change while it runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

use crate::behaviour::{Behaviour, Mistakes};
use crate::listen::Listening;
use crate::routes::App;
use crate::socket::Socket;

/// What a [`Sim`] is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The model that serves requests without a name.
    pub base_model: String,
    /// Adapters that are loaded from the start.
    pub adapters: Vec<String>,
    /// The most tokens a request may ask for.
    pub max_model_len: u64,
    /// Requests beyond so many wait for one to end; `None`: none waits.
    pub max_running: Option<usize>,
}

/// A simulated model server. It speaks HTTP/1.1 and HTTP/2 with prior knowledge on one port. Dropping it closes its
/// socket and its connections.
#[derive(Debug)]
pub struct Sim {
    app: Arc<App>,
    listening: Listening,
}

// === impl SimConfig ===

impl Default for SimConfig {
    /// A base model `tiny` without adapters on a free port of this host.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            base_model: "tiny".to_owned(),
            adapters: Vec::new(),
            max_model_len: 32_768,
            max_running: None,
        }
    }
}

// === impl Sim ===

impl Sim {
    /// Binds and serves until [`Sim::shutdown`] or drop. The error is that of binding.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        let app = Arc::new(App::new(&config));
        let served = Arc::clone(&app);
        let serve = move |stream| {
            let app = Arc::clone(&served);
            async move {
                let socket = Socket::new(stream);
                let backlog = socket.backlog();
                let service = service_fn(move |request| {
                    let (app, backlog) = (Arc::clone(&app), backlog.clone());
                    async move { Ok::<_, io::Error>(app.serve(request).await?.map(|body| body.over(backlog))) }
                });
                // An error is a client that went away or a fault that was asked for.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            }
        };
        let listening = Listening::start(config.listen, serve).await?;
        Ok(Self { app, listening })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr()
    }

    /// Sets what requests for a path get that have no `x-sim` of their own, `/metrics` and `/health` included; an
    /// empty list ends it. For clients that cannot be told to send a header.
    pub fn always(&self, path: &str, x_sim: &str) -> Result<(), Mistakes> {
        self.app.always(path, x_sim.parse::<Behaviour>()?);
        Ok(())
    }

    /// Closes the socket and every connection; returns when they are closed.
    pub async fn shutdown(self) {
        self.listening.shutdown().await;
    }
}
