//! One connection, from the accepted socket to its end: the handshake, HTTP/1.1 or HTTP/2, and the end that its
//! [`Activity`] decides.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::activity::{Activity, End};
use super::limits::{BODY_WINDOW, HEADER_BYTES, HEADERS, Limits, STREAMS};
use super::linger::Lingering;
use super::routes::Site;
use super::tls::Tls;

/// What all connections share.
pub struct Door {
    site: Site,
    tls: Option<Tls>,
    limits: Limits,
    http: Builder<TokioExecutor>,
}

/// Why a connection ended otherwise than by a goodbye.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Before HTTP.
    #[error(transparent)]
    Handshake(#[from] super::tls::HandshakeError),
    /// Within HTTP: broken off, or no HTTP.
    #[error(transparent)]
    Http(Box<dyn Error + Send + Sync>),
    /// Without a goodbye.
    #[error("cut off")]
    Cut(#[source] End),
}

// === impl Door ===

impl Door {
    /// A door to the site.
    pub fn new(site: Site, tls: Option<Tls>, limits: Limits) -> Self {
        Self {
            site,
            tls,
            limits,
            http: http(),
        }
    }

    /// Keeps the certificate fresh. Never returns.
    pub async fn keep_fresh(&self) {
        match &self.tls {
            Some(tls) => tls.keep_fresh(self.limits.tls_reload).await,
            None => pending().await,
        }
    }

    /// Serves a connection to its end; while the server shuts down, until the caller has waited enough.
    ///
    /// # Errors
    /// The client's, all of them.
    pub async fn serve(self: &Arc<Self>, stream: TcpStream, activity: &Arc<Activity>) -> Result<(), ConnectionError> {
        let Some(tls) = &self.tls else {
            return self.speak(stream, activity).await;
        };
        let stream = tokio::select! {
            stream = tls.accept(stream) => stream?,
            end = activity.end() => return Err(ConnectionError::Cut(end)),
        };
        self.speak(stream, activity).await
    }

    async fn speak<S>(self: &Arc<Self>, stream: S, activity: &Arc<Activity>) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let exchange = activity.begin();
            let door = Arc::clone(self);
            // The body is not read: it ends here.
            let (head, _) = request.into_parts();
            async move { Ok::<_, Infallible>(door.site.answer(&head).await.map(|body| body.of(exchange))) }
        });
        let stream = Lingering::new(stream, self.limits.farewell);
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let end = tokio::select! {
            ended = connection.as_mut() => return ended.map_err(ConnectionError::Http),
            end = activity.end() => end,
        };
        if end == End::Overdue {
            return Err(ConnectionError::Cut(end));
        }
        connection.as_mut().graceful_shutdown();
        if end == End::Shutdown && activity.idle_since().is_none() {
            // For as long as the server waits.
            return connection.await.map_err(ConnectionError::Http);
        }
        match timeout(self.limits.farewell, connection).await {
            Ok(ended) => ended.map_err(ConnectionError::Http),
            Err(_) => Err(ConnectionError::Cut(end)),
        }
    }
}

/// hyper's limits. Its own clock for heads runs between requests too, where [`Activity`] has another measure, and does
/// not run before the version is known: it stays off.
fn http() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES as usize)
        .max_headers(HEADERS);
    builder
        .http2()
        .max_header_list_size(HEADER_BYTES)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(BODY_WINDOW)
        .initial_connection_window_size(BODY_WINDOW);
    builder
}
