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
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
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
    /// It did not go when it was told.
    #[error("connection ({0:?}): cut off")]
    Cut(End),
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

    /// Serves a connection to its end.
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
        activity.restart();
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
        let patience = match end {
            End::Overdue => return Err(ConnectionError::Cut(end)),
            End::Shutdown if activity.idle_since().is_none() => self.limits.drain,
            End::Shutdown | End::Idle | End::Evicted => self.limits.farewell,
        };
        connection.as_mut().graceful_shutdown();
        match timeout(patience, connection).await {
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
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES as usize)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(BODY_WINDOW)
        .initial_connection_window_size(BODY_WINDOW);
    builder
}
