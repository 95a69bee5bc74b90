//! The HTTP server of both roles: `/metrics`, `/healthz`, `/readyz` and `/`, to whom it may concern, with limits on all
//! that a client can take. Owns the socket and every connection; what the pages say is the role's, by [`Pages`].
//!
//! ```text
//! Server ─▶ connections ─▶ connection ─▶ routes ─▶ auth
//!                │           │    │          ├───▶ negotiate
//!                └▶ activity ◀┘    ├▶ tls     └───▶ page ─▶ body
//!                                  └▶ linger
//! ```
//! A connection ends in a bounded time whatever its client does, and so does the server once it is told to.

mod activity;
pub mod auth;
mod body;
mod connection;
mod connections;
mod hash;
mod limits;
mod linger;
mod negotiate;
mod page;
mod routes;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::error_chain;
use crate::exposition::Family;
use auth::Auth;
use connection::Door;
use connections::Connections;
pub use limits::Limits;
use routes::Site;
use tls::Tls;

/// When the system has no more sockets to give, others have to close theirs first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a role serves.
pub trait Pages: Send + Sync + 'static {
    /// The families of `/metrics` as they stand. Called for each scrape, off the tasks of tokio; must not wait.
    fn families(&self) -> Vec<Family>;

    /// Whether the role is ready, or why not, in one line.
    ///
    /// # Errors
    /// What is not ready yet.
    fn ready(&self) -> Result<(), String>;
}

/// Where to listen, for whom, and with what limits.
pub struct Settings {
    /// The address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who may read `/metrics`.
    pub auth: Auth,
    /// TLS, instead of plain HTTP.
    pub tls: Option<Tls>,
    /// What clients can take.
    pub limits: Limits,
}

/// A server that has its address, but does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    auth: Auth,
    tls: Option<Tls>,
    limits: Limits,
}

/// Why the server can't begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is another's, or not of this host.
    #[error("listen on {address}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

// === impl Server ===

impl Server {
    /// Takes the address. Clients can connect from now on, and wait.
    ///
    /// # Errors
    /// The address can't be had.
    pub async fn bind(settings: Settings) -> Result<Self, ServeError> {
        let Settings {
            listen,
            auth,
            tls,
            limits,
        } = settings;
        let failed = |source| ServeError::Bind {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            auth,
            tls,
            limits,
        })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the pages until `shutdown`; then takes no more connections, lets answers under way end for
    /// [`Limits::drain`], and returns.
    pub async fn run(self, pages: Arc<dyn Pages>, shutdown: impl Future<Output = ()>) {
        let Self {
            listener,
            address,
            auth,
            tls,
            limits,
        } = self;
        info!(%address, tls = tls.is_some(), "serving");
        let site = Site::new(pages, auth, &limits);
        let door = Arc::new(Door::new(site, tls, limits));
        let connections = Arc::new(Connections::new(limits));
        let mut tasks = JoinSet::new();
        {
            let accepting = pin!(accept(&listener, &door, &connections, &mut tasks));
            tokio::select! {
                () = shutdown => {}
                () = accepting => {}
                () = door.keep_fresh() => {}
            }
        }
        drop(listener);
        connections.shut_down();
        drain(&mut tasks, limits.drain).await;
    }
}

/// Never returns.
async fn accept(listener: &TcpListener, door: &Arc<Door>, connections: &Arc<Connections>, tasks: &mut JoinSet<()>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = tasks.join_next() => {
                log_panic(ended);
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = connections.admit().await;
                let door = Arc::clone(door);
                tasks.spawn(async move {
                    if let Err(error) = door.serve(stream, place.activity()).await {
                        debug!(%peer, error = error_chain(&error), "a connection ended");
                    }
                });
            }
            Err(error) if is_of_one_connection(&error) => debug!(%error, "connection not accepted"),
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Errors that say something of the connection that was to be accepted, and nothing of the next.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Lets the connections end, and ends those that don't.
async fn drain(tasks: &mut JoinSet<()>, patience: Duration) {
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(patience, all_ended).await.is_err() {
        warn!(
            connections = tasks.len(),
            ?patience,
            "cut off connections that did not end in time"
        );
        tasks.shutdown().await;
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection's task failed");
    }
}
