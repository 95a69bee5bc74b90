//! One connection, from the accepted socket to its close: the TLS handshake, HTTP/1.1 or HTTP/2, and the close that
//! its [`Slot`] decides.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::extract::Request;
use axum::{BoxError, Router};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::limits::{BODY_WINDOW, HEADER_BYTES, HEADERS, Limits, STREAMS};
use super::linger::Linger;
use super::slots::{CloseReason, Slot};
use super::tls::Tls;

/// What all connections share.
pub struct Protocol {
    pub tls: Option<Tls>,
    http: Builder<TokioExecutor>,
    routes: TowerToHyperService<Router>,
    limits: Limits,
}

// === impl Protocol ===

impl Protocol {
    pub fn new(router: Router, tls: Option<Tls>, limits: Limits) -> Self {
        Self {
            tls,
            http: http(),
            routes: TowerToHyperService::new(router),
            limits,
        }
    }

    /// Serves a connection until it is closed.
    ///
    /// # Errors
    /// The close was not graceful. A [`CloseReason`] is the server's decision.
    pub async fn serve(&self, stream: TcpStream, slot: Slot) -> Result<(), BoxError> {
        let linger = Linger::of(&stream)?;
        let served = match &self.tls {
            Some(tls) => self.serve_tls(tls, stream, &slot).await,
            None => self.serve_http(stream, &slot).await,
        };
        if !served.as_ref().is_err_and(|error| error.is::<CloseReason>()) {
            // What the client does after the response is no error.
            _ = linger.close(self.limits.close_timeout).await;
        }
        served
    }

    async fn serve_tls(&self, tls: &Tls, stream: TcpStream, slot: &Slot) -> Result<(), BoxError> {
        let stream = tokio::select! {
            stream = tls.accept(stream) => stream?,
            reason = slot.close_reason() => return Err(reason.into()),
        };
        self.serve_http(stream, slot).await
    }

    async fn serve_http<S>(&self, stream: S, slot: &Slot) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let in_flight = slot.begin();
            let response = self.routes.call(request);
            async move {
                // The request is in flight until hyper drops the body.
                Ok::<_, Infallible>(response.await?.map(|body| {
                    body.map_frame(move |frame| {
                        let _held = &in_flight;
                        frame
                    })
                }))
            }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let reason = tokio::select! {
            closed = connection.as_mut() => return closed,
            reason = slot.close_reason() => reason,
        };
        let patience = match reason {
            CloseReason::Overdue => return Err(reason.into()),
            // There is nothing to complete.
            _ if slot.is_unused() => return Err(reason.into()),
            // The server's own drain timeout bounds it.
            CloseReason::Shutdown if !slot.is_idle() => Duration::MAX,
            _ => self.limits.close_timeout,
        };
        connection.as_mut().graceful_shutdown();
        timeout(patience, connection)
            .await
            .unwrap_or_else(|_| Err(reason.into()))
    }
}

/// hyper's own header timeout stays off: it bounds the idle time between requests, too, for which [`Slot`] has another
/// limit, and does not run before the version of HTTP is known.
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
