//! The HTTP server of both roles: `/metrics`, `/healthz`, `/readyz` and `/`, on axum and hyper. Owns the listener and
//! every connection; a role provides what is served, as [`Pages`].
//!
//! ```text
//! Server ─▶ connection ─▶ routes ─▶ auth
//!   │         │   ├▶ tls     └────▶ negotiate
//!   └▶ slots ◀┘   └▶ linger
//! ```
//! Whatever its client does, a connection closes in bounded time, and a shutdown completes in bounded time.

pub mod auth;
mod connection;
mod limits;
mod linger;
mod negotiate;
mod routes;
mod slots;
pub mod tls;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::error_chain;
use crate::exposition::Family;
use crate::file::Reload;
use auth::Auth;
use connection::Protocol;
pub use limits::Limits;
use slots::Slots;
use tls::Tls;

/// What a role serves.
pub trait Pages: Send + Sync + 'static {
    /// The families of `/metrics`. Called for each scrape, on a thread for blocking work; must not wait for I/O.
    fn families(&self) -> Vec<Family>;

    /// Whether the role is ready.
    ///
    /// # Errors
    /// Why it is not, in one line.
    fn ready(&self) -> Result<(), String>;
}

/// What a server needs besides its pages.
pub struct Settings {
    /// The address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who can scrape `/metrics`.
    pub auth: Auth,
    /// TLS, instead of plain HTTP.
    pub tls: Option<Tls>,
    /// What clients can take.
    pub limits: Limits,
    /// Requests to read the certificate at once.
    pub reload: Reload,
}

/// A server that is bound to its address, and not serving yet.
pub struct Server {
    listener: TcpListener,
    settings: Settings,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is in use, or not of this host.
    #[error("listen on {address}")]
    Bind {
        /// The address of the settings.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

// === impl Server ===

impl Server {
    /// Binds the address. From now on clients can connect, and wait.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(mut settings: Settings) -> Result<Self, ServeError> {
        let address = settings.listen;
        let failed = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        settings.listen = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, settings })
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.settings.listen
    }

    /// Serves the pages until `shutdown`; then closes the listener, lets requests in flight complete for
    /// [`Limits::drain_timeout`], and returns.
    pub async fn run(self, pages: Arc<dyn Pages>, shutdown: impl Future<Output = ()>) {
        let Self { listener, settings } = self;
        let Settings {
            listen,
            auth,
            tls,
            limits,
            reload,
        } = settings;
        info!(address = %listen, tls = tls.is_some(), "serving");
        let protocol = Arc::new(Protocol::new(routes::router(pages, auth, &limits), tls, limits));
        let stop = CancellationToken::new();
        let slots = Slots::new(limits, stop.clone());
        let mut connections = JoinSet::new();
        let reload = async {
            match &protocol.tls {
                Some(tls) => tls.reload(limits.tls_reload, reload).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = accept(listener, &protocol, &slots, &mut connections) => {}
            () = reload => {}
        }
        stop.cancel();
        let drained = timeout(limits.drain_timeout, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            warn!(
                connections = connections.len(),
                timeout = ?limits.drain_timeout,
                "reset the connections that did not drain in time"
            );
            connections.shutdown().await;
        }
    }
}

/// Accepts connections until there are no more slots to acquire, which is never.
async fn accept(mut listener: TcpListener, protocol: &Arc<Protocol>, slots: &Slots, connections: &mut JoinSet<()>) {
    loop {
        let (stream, peer) = Listener::accept(&mut listener).await;
        let Ok(slot) = slots.acquire().await else { return };
        while connections.try_join_next().is_some() {}
        let protocol = Arc::clone(protocol);
        connections.spawn(async move {
            if let Err(error) = protocol.serve(stream, slot).await {
                debug!(%peer, reason = error_chain(&*error), "connection closed early");
            }
        });
    }
}
