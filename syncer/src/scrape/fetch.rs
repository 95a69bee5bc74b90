//! [`Client`], an HTTP client that fetches one metrics page within a time limit and a size limit.

mod body;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::error::error_chain;
use crate::exposition::Format;
use crate::http_client::AGENT;
use crate::http_client::access::{Access, Change};
use crate::http_client::connector::{Connector, request_tls_failure};
use crate::scrape_status::Reason;
pub use body::Body;
use body::{SMALL_PAGE_BYTES, Writer};

/// Prefers text 0.0.4: it is cheaper to produce and to parse, and every server has it.
const ACCEPTED_TYPES: &str = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
/// Prefers uncompressed pages: on a local network compression costs the model server more than it saves.
const ACCEPTED_ENCODINGS: &str = "identity;q=1, gzip;q=0.1";
/// Idle connections are closed after this time: the target is gone, or its interval is longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes that all pages in memory may use together above [`SMALL_PAGE_BYTES`] each, decompressed. A thousand pods with huge pages must
/// neither exhaust the syncer's memory nor delay other pods, so a page that gets no permit fails at once.
const SHARED_BYTES: usize = 128 * 1024 * 1024;
/// Size of a connection's read buffer; there may be a thousand connections.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Fetches pages. Clones share connections, which are kept alive, and [`SHARED_BYTES`]. Redirects are not followed: another
/// host must not receive the token.
#[derive(Clone, Debug)]
pub struct Client {
    http: Arc<watch::Sender<Http>>,
    server_name: Option<ServerName<'static>>,
    token_over_http: bool,
    max_bytes: usize,
    /// One permit per byte of [`SHARED_BYTES`].
    shared_bytes: Arc<Semaphore>,
}

/// What requests are sent with at the moment.
#[derive(Clone, Debug)]
struct Http {
    client: HyperClient<Connector, Empty<Bytes>>,
    authorization: Option<HeaderValue>,
}

/// A metrics page.
#[derive(Debug)]
pub struct Page {
    /// The body, decompressed.
    pub body: Body,
    /// By its content-type.
    pub format: Format,
}

/// Why a page could not be fetched. The log adds the target's name.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection failed, or closed before the response's headers.
    #[error("{0}")]
    Connect(String),
    /// TLS failed: a certificate is not accepted, or one side does not speak TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// The response was not complete in time.
    #[error("no complete response within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The status was not 200.
    #[error("status {0}")]
    Status(StatusCode),
    /// The status was 401, and the token was not sent because the URL is `http`.
    #[error("status 401 Unauthorized; the bearer token is not sent over http without --target-token-over-http")]
    TokenNotSent,
    /// The body was incomplete or cannot be decoded.
    #[error("{0}")]
    Body(String),
    /// The page is over the client's limit.
    #[error("page is larger than {0} bytes")]
    TooLarge(usize),
    /// The page is large, and other large pages use all of [`SHARED_BYTES`].
    #[error(
        "page takes more than {SMALL_PAGE_BYTES} bytes, and other pages use all {SHARED_BYTES} bytes for large pages"
    )]
    MemoryExhausted,
}

// === impl FetchError ===

impl FetchError {
    /// The label value of this error.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Connect(_) => Reason::Connect,
            Self::Timeout(_) => Reason::Timeout,
            Self::Tls(_) => Reason::Tls,
            Self::Status(_) | Self::TokenNotSent => Reason::Status,
            Self::Body(_) => Reason::Body,
            Self::TooLarge(_) | Self::MemoryExhausted => Reason::TooLarge,
        }
    }
}

// === impl Client ===

impl Client {
    /// Fetches pages of up to `max_bytes`, decompressed.
    pub fn new(max_bytes: usize, access: Access) -> Self {
        let Access {
            tls,
            server_name,
            authorization,
            token_over_http,
        } = access;
        let client = http(tls, server_name.clone());
        Self {
            http: Arc::new(watch::Sender::new(Http { client, authorization })),
            server_name,
            token_over_http,
            max_bytes,
            shared_bytes: Arc::new(Semaphore::new(SHARED_BYTES)),
        }
    }

    /// Uses what has changed for all further requests. With a new TLS configuration connections are opened again, so that
    /// no server stays trusted that no longer is.
    pub fn apply(&self, change: Change) {
        self.http.send_modify(|current| match change {
            Change::Tls(tls) => current.client = http(*tls, self.server_name.clone()),
            Change::Authorization(header) => current.authorization = Some(header),
        });
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// If there is no complete response with status 200 within `timeout` and within the limits.
    pub async fn fetch(&self, url: &Uri, timeout: Duration) -> Result<Page, FetchError> {
        tokio::time::timeout(timeout, self.get(url))
            .await
            .unwrap_or(Err(FetchError::Timeout(timeout)))
    }

    async fn get(&self, url: &Uri) -> Result<Page, FetchError> {
        let Http { client, authorization } = self.http.borrow().clone();
        let mut request = Request::get(url)
            .header(ACCEPT, ACCEPTED_TYPES)
            .header(ACCEPT_ENCODING, ACCEPTED_ENCODINGS)
            .header(USER_AGENT, AGENT);
        let is_private = url.scheme() == Some(&Scheme::HTTPS) || self.token_over_http;
        let has_token = authorization.is_some();
        if let Some(token) = authorization.filter(|_| is_private) {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| FetchError::Connect(error.to_string()))?;
        let response = client
            .request(request)
            .await
            .map_err(|error| match request_tls_failure(&error) {
                Some(failure) => FetchError::Tls(failure),
                None => FetchError::Connect(error_chain(&error)),
            })?;
        // The body is not read, so the connection closes.
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED if has_token && !is_private => return Err(FetchError::TokenNotSent),
            status => return Err(FetchError::Status(status)),
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let format = header(CONTENT_TYPE).map_or(Format::Text, Format::from_content_type);
        let encoding = header(CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase();
        let page = Writer::new(self.max_bytes, Arc::clone(&self.shared_bytes));
        let body = match encoding.as_str() {
            "" | "identity" => {
                let mut page = page;
                self.read_body(response.into_body(), |chunk| page.push(chunk)).await?;
                page.finish()
            }
            "gzip" | "x-gzip" => {
                let mut decoder = MultiGzDecoder::new(page);
                let decode = |chunk: &[u8]| decoder.write_all(chunk).map_err(gzip_error);
                self.read_body(response.into_body(), decode).await?;
                decoder.finish().map_err(gzip_error)?.finish()
            }
            other => {
                return Err(FetchError::Body(format!("content-encoding {other:?} is not supported")));
            }
        };
        Ok(Page { body, format })
    }

    /// Calls `each` with every chunk of the body, as it was sent.
    async fn read_body(
        &self,
        mut body: Incoming,
        mut each: impl FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let max = self.max_bytes as u64;
        // Its content-length, if it has one.
        if body.size_hint().lower() > max {
            return Err(FetchError::TooLarge(self.max_bytes));
        }
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| FetchError::Body(error_chain(&error)))?;
            let Ok(chunk) = frame.into_data() else { continue };
            length += chunk.len() as u64;
            // Empty members of a gzip body decompress to nothing, however many there are.
            if length > max {
                return Err(FetchError::TooLarge(self.max_bytes));
            }
            each(&chunk)?;
        }
        Ok(())
    }
}

/// The error of the [`Writer`] that the decoder writes to, or of the decoder.
fn gzip_error(error: io::Error) -> FetchError {
    error
        .downcast()
        .unwrap_or_else(|error: io::Error| FetchError::Body(format!("gzip: {error}")))
}

fn http(tls: ClientConfig, server_name: Option<ServerName<'static>>) -> HyperClient<Connector, Empty<Bytes>> {
    HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(1)
        .http1_max_buf_size(READ_BUFFER_BYTES)
        .build(Connector::new(tls, server_name))
}

#[cfg(test)]
mod tests;
