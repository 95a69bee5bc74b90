//! One page of metrics over HTTP: bounded in time and in bytes.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_rustls::rustls::ClientConfig;

use super::Reason;
use crate::error_chain;
use crate::exposition::Format;
use crate::http_client::{AGENT, connector};

/// Text 0.0.4 is the cheaper one to make and to read, and servers that have only one have that.
const ACCEPTED: &str = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
/// A page crosses a local network: compressing it costs the model server more than sending it.
const ACCEPTED_ENCODINGS: &str = "identity;q=1, gzip;q=0.1";
/// A connection that nobody has used for so long is closed: its target is gone, or is scraped more seldom than this.
const IDLE: Duration = Duration::from_secs(90);
/// Bytes that any page may have, four times those of a vLLM's.
const SMALL_BYTES: usize = 256 * 1024;
/// What pages under way may have together beyond that. A thousand pods that go mad at once must cost neither the
/// syncer's life nor the pages of others, so a page that finds no more room is given up at once.
const LARGE_BYTES: usize = 128 * 1024 * 1024;
/// A connection's read buffer, of which there may be a thousand. A page is read in several turns.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Reads pages; cheap to clone, connections are shared and kept alive.
#[derive(Clone, Debug)]
pub struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    max_bytes: usize,
    /// Of [`LARGE_BYTES`], what is left.
    room: Arc<Semaphore>,
}

/// A page as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its text, inflated.
    pub body: Bytes,
    /// What it says it is.
    pub format: Format,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, or no answer on it.
    #[error("{0}")]
    Connect(String),
    /// Not whole in time.
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// Another status than 200.
    #[error("status {0}")]
    Status(StatusCode),
    /// It broke off, or can't be inflated.
    #[error("{0}")]
    Body(String),
    /// Longer than allowed.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// Large, at a time when too many others are.
    #[error("more than {SMALL_BYTES} bytes, while others have taken the {LARGE_BYTES} that there are for large pages")]
    Crowded,
}

// === impl FetchError ===

impl FetchError {
    /// Which of the closed set it is.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Connect(_) => Reason::Connect,
            Self::Timeout(_) => Reason::Timeout,
            Self::Status(_) => Reason::Status,
            Self::Body(_) => Reason::Body,
            Self::TooLarge(_) | Self::Crowded => Reason::TooLarge,
        }
    }
}

// === impl Client ===

impl Client {
    /// Reads pages of `max_bytes` at most, inflated. `tls` is for servers with `https`, see [`crate::http_client`].
    pub fn new(max_bytes: usize, tls: ClientConfig) -> Self {
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .build(connector(tls));
        Self {
            http,
            max_bytes,
            room: Arc::new(Semaphore::new(LARGE_BYTES)),
        }
    }

    /// Reads one page.
    pub async fn fetch(&self, url: &Uri, timeout: Duration) -> Result<Page, FetchError> {
        tokio::time::timeout(timeout, self.read(url))
            .await
            .unwrap_or(Err(FetchError::Timeout(timeout)))
    }

    async fn read(&self, url: &Uri) -> Result<Page, FetchError> {
        let request = Request::get(url)
            .header(ACCEPT, ACCEPTED)
            .header(ACCEPT_ENCODING, ACCEPTED_ENCODINGS)
            .header(USER_AGENT, AGENT)
            .body(Empty::new())
            .map_err(|error| FetchError::Connect(error.to_string()))?;
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| FetchError::Connect(error_chain(&error)))?;
        if response.status() != StatusCode::OK {
            // The rest of the answer is not read: the connection goes with it.
            return Err(FetchError::Status(response.status()));
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let format = header(CONTENT_TYPE).map_or(Format::Text, Format::from_content_type);
        let encoding = header(CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase();
        let body = self.body(response.into_body()).await?;
        let body = match encoding.as_str() {
            "" | "identity" => body,
            "gzip" | "x-gzip" => self.inflate(body)?,
            other => {
                return Err(FetchError::Body(format!(
                    "content-encoding {other:?} was not asked for"
                )));
            }
        };
        Ok(Page { body, format })
    }

    async fn body(&self, mut body: Incoming) -> Result<Bytes, FetchError> {
        let promised = body.size_hint().lower();
        if promised > self.max_bytes as u64 {
            return Err(FetchError::TooLarge(self.max_bytes));
        }
        // Pieces are put together once all are there: a buffer that grows leaves holes of all sizes behind.
        let mut pieces = Vec::new();
        let mut length = 0;
        let mut taken: Option<SemaphorePermit<'_>> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| FetchError::Body(error_chain(&error)))?;
            let Ok(piece) = frame.into_data() else { continue };
            length += piece.len();
            if length > self.max_bytes {
                return Err(FetchError::TooLarge(self.max_bytes));
            }
            if length > SMALL_BYTES {
                let more = u32::try_from(piece.len()).map_err(|_| FetchError::Crowded)?;
                let more = self.room.try_acquire_many(more).map_err(|_| FetchError::Crowded)?;
                match &mut taken {
                    Some(taken) => taken.merge(more),
                    None => taken = Some(more),
                }
            }
            pieces.push(piece);
        }
        if let [_] = pieces.as_slice() {
            return Ok(pieces.swap_remove(0));
        }
        let mut page = BytesMut::with_capacity(length);
        pieces.iter().for_each(|piece| page.extend_from_slice(piece));
        Ok(page.freeze())
    }

    fn inflate(&self, body: Bytes) -> Result<Bytes, FetchError> {
        let mut inflated = Vec::new();
        let most = self.max_bytes as u64 + 1;
        match MultiGzDecoder::new(body.reader()).take(most).read_to_end(&mut inflated) {
            Ok(_) if inflated.len() > self.max_bytes => Err(FetchError::TooLarge(self.max_bytes)),
            Ok(_) => Ok(inflated.into()),
            Err(error) => Err(FetchError::Body(format!("gzip: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests;
