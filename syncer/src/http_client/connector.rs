//! [`Connector`], which opens connections and remembers how their TLS failed.
//!
//! With TLS 1.3 a server rejects the client's certificate when the client's handshake is complete. The HTTP client may lose
//! that error: if it comes before the request is sent, it only reports a canceled request.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::{Extensions, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use super::tls_error::tls_failure;

/// Connects to `http` and `https` URLs.
#[derive(Clone, Debug)]
pub struct Connector(HttpsConnector<HttpConnector>);

/// A connection.
#[derive(Debug)]
pub struct Stream {
    inner: MaybeHttpsStream<TokioIo<TcpStream>>,
    failure: Failure,
}

/// How TLS failed after the handshake.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<OnceLock<String>>);

/// What failed in TLS, if that is why the request failed.
pub fn request_tls_failure(error: &legacy::Error) -> Option<String> {
    tls_failure(error).or_else(|| {
        let mut extras = Extensions::new();
        error.connect_info()?.get_extras(&mut extras);
        extras.get::<Failure>()?.0.get().cloned()
    })
}

// === impl Connector ===

impl Connector {
    /// `tls` is for `https` URLs. Certificates must be for `server_name`, without it for the URL's host.
    pub fn new(tls: ClientConfig, server_name: Option<ServerName<'static>>) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let builder = match server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        Self(builder.enable_http1().wrap_connector(connector))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.0.call(url);
        Box::pin(async {
            Ok(Stream {
                inner: connecting.await?,
                failure: Failure::default(),
            })
        })
    }
}

// === impl Stream ===

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.failure.clone())
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        if let Some(failure) = read.as_ref().err().and_then(|error| tls_failure(error)) {
            _ = self.failure.0.set(failure);
        }
        Poll::Ready(read)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }
}
