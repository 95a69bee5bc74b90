//! Owns the life of a [`Sim`]: its socket, its connections and what a test may change while it runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

use crate::app::App;
use crate::behaviour::{Behaviour, BehaviourErrors};
use crate::config::SimConfig;
use crate::listener::Listener;
use crate::request_log::ReceivedRequest;
use crate::socket::Socket;

/// A simulated model server. It serves HTTP/1.1 and HTTP/2 with prior knowledge on one port. Dropping it closes its
/// socket and its connections.
#[derive(Debug)]
pub struct Sim {
    app: Arc<App>,
    listener: Listener,
}

// === impl Sim ===

impl Sim {
    /// Binds and serves until [`Sim::shutdown`] or drop.
    ///
    /// # Errors
    /// If it cannot bind to the address.
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
                // An error means that the client disconnected, or that a requested fault closed the connection.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            }
        };
        let listener = Listener::start(config.listen, serve).await?;
        Ok(Self { app, listener })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// Sets the behaviour of requests to a path, `/metrics` and `/health` included, that have no `x-sim` header of their
    /// own. It replaces an earlier one; an empty list removes it.
    ///
    /// `/v1/load_lora_adapter#NAME` applies to that adapter only and takes precedence over the path alone; the same holds
    /// for unloads. A list inside a load's `lora_path` takes precedence over both:
    /// `/x-sim/delay=60s;status=500/the/path`.
    ///
    /// # Errors
    /// If the list is not a valid `x-sim` header.
    pub fn set_behaviour(&self, path: &str, x_sim: &str) -> Result<(), BehaviourErrors> {
        self.app.set_behaviour(path, x_sim.parse::<Behaviour>()?);
        Ok(())
    }

    /// Replaces the bearer token that clients need; `None` turns authentication off.
    pub fn set_api_key(&self, key: Option<&str>) {
        self.app.set_api_key(key);
    }

    /// Restores the adapters it was started with, as a restart does.
    pub fn reset_adapters(&self) {
        self.app.reset_adapters();
    }

    /// Replaces the adapters by these, each a name and a path, as a restart with another command line does, or another
    /// client.
    pub fn set_adapters(&self, adapters: &[(&str, &str)]) {
        self.app.set_adapters(adapters);
    }

    /// The requests to `/health`, `/v1/models` and the load and unload routes, in order of arrival.
    pub fn received_requests(&self) -> Vec<ReceivedRequest> {
        self.app.request_log().requests()
    }

    /// Returns [`Sim::received_requests`] and empties the list.
    pub fn take_received_requests(&self) -> Vec<ReceivedRequest> {
        self.app.request_log().take()
    }

    /// Closes the socket and every connection; returns when they are closed.
    pub async fn shutdown(self) {
        self.listener.shutdown().await;
    }
}
