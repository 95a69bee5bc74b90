//! An HTTP client for the model server: polls its health and its models, and sends load and unload requests.
//!
//! Each request has a timeout and its own connection. What replies mean is decided in [`crate::lora`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::ClientConfig;

use crate::http_client::AGENT;
use crate::http_client::connector::Connector;
use crate::lora::observed::{MAX_LIST_BYTES, Observed};
use crate::lora::request::Request;
use crate::lora::response::{Reply, Response, TransportError};
use crate::{error_chain, file};

/// Of any response but a list of models: a prefix has the error.
const MAX_BODY_BYTES: usize = 4096;
/// Service account tokens have one or two thousand.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

/// The bearer token for the model server.
#[derive(Clone)]
pub(super) enum BearerToken {
    Value(Arc<str>),
    /// Read for each request, because tokens rotate.
    File(PathBuf),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Of a `GET`.
    pub poll: Duration,
    /// Of a load or unload.
    pub operation: Duration,
}

/// A client without a server; cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: HttpClient<Connector, Full<Bytes>>,
    token: Option<BearerToken>,
    timeouts: Timeouts,
}

/// A client of one server; cheap to clone.
#[derive(Clone)]
pub(super) struct ModelServer {
    client: Client,
    base: Uri,
}

// === impl Client ===

impl Client {
    /// `tls` is for `https` servers, see [`crate::http_client::tls::client_config`].
    pub(super) fn new(tls: ClientConfig, token: Option<BearerToken>, timeouts: Timeouts) -> Self {
        // No keep-alive: a server may close an idle connection just as a request is sent on it, and a load must not be
        // sent twice. New connections cost little at the interval of polls.
        let http = HttpClient::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(Connector::new(tls, None));
        Self { http, token, timeouts }
    }

    /// `base` has scheme, host and port.
    pub(super) fn server(&self, base: Uri) -> ModelServer {
        ModelServer {
            client: self.clone(),
            base,
        }
    }
}

// === impl ModelServer ===

impl ModelServer {
    /// Requests `/health`, and `/v1/models` if the server is healthy.
    pub(super) async fn poll(&self) -> Observed {
        let timeout = self.client.timeouts.poll;
        let get = |path| self.send_within(timeout, Method::GET, path, Bytes::new());
        let health = get("/health").await;
        match Observed::unless_healthy(&health) {
            Some(unknown) => unknown,
            None => Observed::from_list(&get("/v1/models").await),
        }
    }

    /// Sends a load or unload request.
    pub(super) async fn send(&self, request: Request) -> Reply {
        let timeout = self.client.timeouts.operation;
        let body = Bytes::from(request.body);
        self.send_within(timeout, Method::POST, request.path, body).await
    }

    async fn send_within(&self, timeout: Duration, method: Method, path: &'static str, body: Bytes) -> Reply {
        match tokio::time::timeout(timeout, self.exchange(method, path, body)).await {
            Ok(response) => response.map_err(TransportError::Unreachable),
            Err(_) => Err(TransportError::Timeout),
        }
    }

    async fn exchange(&self, method: Method, path: &'static str, body: Bytes) -> Result<Response, String> {
        let mut url = self.base.clone().into_parts();
        url.path_and_query = Some(PathAndQuery::from_static(path));
        let url = Uri::from_parts(url).map_err(|error| error.to_string())?;
        let mut request = http::Request::builder()
            .method(&method)
            .uri(url)
            .header(USER_AGENT, AGENT);
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.client.token {
            request = request.header(AUTHORIZATION, token.header().await?);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.client.http.request(request).await;
        let response = response.map_err(|error| error_chain(&error))?;
        let status = response.status().as_u16();
        let is_list = method == Method::GET && response.status().is_success();
        // One byte more, so that a longer list is noticed.
        let limit = if is_list { MAX_LIST_BYTES + 1 } else { MAX_BODY_BYTES };
        let body = read_prefix(response.into_body(), limit).await?;
        Ok(Response { status, body })
    }
}

/// Up to `limit` bytes of a body. [`http_body_util::Limited`] would return an error instead of the prefix.
async fn read_prefix(mut body: Incoming, limit: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| error_chain(&error))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.truncate(limit);
    Ok(bytes)
}

// === impl BearerToken ===

impl BearerToken {
    async fn header(&self) -> Result<HeaderValue, String> {
        let token = match self {
            Self::Value(token) => token.to_string(),
            Self::File(path) => {
                let bytes = file::read(path, MAX_TOKEN_BYTES).await;
                let bytes = bytes.map_err(|error| format!("server token file {}: {error}", path.display()))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| "server token: contains characters that are not allowed in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(value)
    }
}
