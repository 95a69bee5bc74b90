//! Owns the life of a [`Sim`]: its socket, its connections and what a test may change while it runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

use crate::behaviour::{Behaviour, BehaviourErrors};
use crate::journal::Call;
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
    /// What clients have to bring as a bearer token, except for `/health` and `/metrics`; `None`: nothing.
    pub api_key: Option<String>,
    /// Whether it knows `load_inplace`, as vLLM 0.32 does; else it takes no notice of it.
    pub loads_in_place: bool,
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
            api_key: None,
            loads_in_place: true,
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
    ///
    /// `/v1/load_lora_adapter#NAME` is only for that adapter, and goes before the path alone; so it is with unloads. What
    /// a load gets may also stand in its `lora_path`, which goes before both: `/x-sim/delay=60s;status=500/the/path`.
    pub fn always(&self, path: &str, x_sim: &str) -> Result<(), BehaviourErrors> {
        self.app.always(path, x_sim.parse::<Behaviour>()?);
        Ok(())
    }

    /// From now on clients have to bring this token, or none.
    pub fn set_api_key(&self, key: Option<&str>) {
        self.app.set_api_key(key);
    }

    /// Only the adapters that it was started with are loaded: what a restart leaves.
    pub fn forget_adapters(&self) {
        self.app.forget_adapters();
    }

    /// The calls of `/health`, `/v1/models`, loads and unloads, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.app.journal().calls()
    }

    /// The same, and the list is empty then.
    pub fn take_calls(&self) -> Vec<Call> {
        self.app.journal().take()
    }

    /// Closes the socket and every connection; returns when they are closed.
    pub async fn shutdown(self) {
        self.listening.shutdown().await;
    }
}
