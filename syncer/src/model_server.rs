//! Asks the model server whose adapters are kept: is it well, what does it hold, load this, unload that. One request is one
//! connection and has a timeout. What the answers mean is [`crate::lora`]'s.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::ClientConfig;

use crate::http_client::{AGENT, connector};
use crate::lora::observed::{MAX_LIST_BYTES, Observed};
use crate::lora::request::Request;
use crate::lora::response::Answer;
use crate::{error_chain, file};

/// Of any other answer than the list: its beginning says what is wrong.
const MAX_ANSWER_BYTES: usize = 4096;
/// A token of a service account has one or two thousand.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

/// By what word the server lets us in.
#[derive(Clone)]
pub enum Token {
    /// It lets everybody in.
    None,
    /// This.
    Value(Arc<str>),
    /// What this file says at the time.
    File(PathBuf),
}

/// How long the server may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To say that it is well, and what it holds.
    pub ask: Duration,
    /// To load or unload an adapter.
    pub call: Duration,
}

/// How servers are asked; cheap to clone.
#[derive(Clone)]
pub struct Asking {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    token: Token,
    timeouts: Timeouts,
}

/// A server; cheap to clone.
#[derive(Clone)]
pub struct ModelServer {
    asking: Asking,
    base: Uri,
}

// === impl Asking ===

impl Asking {
    /// `tls` is for servers with `https`, see [`crate::http_client`].
    pub fn new(tls: ClientConfig, token: Token, timeouts: Timeouts) -> Self {
        // A server that closes idle connections does so while we send the next request every now and then, and a load is
        // nothing to be sent twice. A connection for each request costs nothing beside what a pass waits.
        let http = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector(tls));
        Self { http, token, timeouts }
    }

    /// The server at `base`: scheme, host and port.
    pub fn server(&self, base: Uri) -> ModelServer {
        ModelServer {
            asking: self.clone(),
            base,
        }
    }
}

// === impl ModelServer ===

impl ModelServer {
    /// Asks whether it is well, and then what it holds.
    pub async fn look(&self) -> Observed {
        let timeout = self.asking.timeouts.ask;
        let get = |path| self.ask(Method::GET, path, Bytes::new(), timeout);
        let health = get("/health").await;
        match Observed::unless_healthy(&health) {
            Some(unknown) => unknown,
            None => Observed::read(&get("/v1/models").await),
        }
    }

    /// Sends a request that changes it.
    pub async fn call(&self, request: Request) -> Answer {
        let body = Bytes::from(request.body);
        self.ask(Method::POST, request.path, body, self.asking.timeouts.call)
            .await
    }

    async fn ask(&self, method: Method, path: &'static str, body: Bytes, timeout: Duration) -> Answer {
        match tokio::time::timeout(timeout, self.try_ask(method, path, body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => Answer::Unreachable { why },
            Err(_) => Answer::Timeout,
        }
    }

    async fn try_ask(&self, method: Method, path: &'static str, body: Bytes) -> Result<Answer, String> {
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
        if let Some(authorization) = self.asking.token.authorization().await? {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.asking.http.request(request).await;
        let response = response.map_err(|error| error_chain(&error))?;
        let status = response.status().as_u16();
        let is_list = method == Method::GET && response.status().is_success();
        // One byte more tells the reader that there is more.
        let most = if is_list { MAX_LIST_BYTES + 1 } else { MAX_ANSWER_BYTES };
        let body = beginning(response.into_body(), most).await?;
        Ok(Answer::Status { status, body })
    }
}

/// At most so many bytes of a body. The connection goes with the rest.
async fn beginning(mut body: Incoming, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| error_chain(&error))?;
        if let Ok(piece) = frame.into_data() {
            bytes.extend_from_slice(&piece);
        }
    }
    bytes.truncate(most);
    Ok(bytes)
}

// === impl Token ===

impl Token {
    /// The value of the header.
    async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let token = match self {
            Self::None => return Ok(None),
            Self::Value(token) => token.to_string(),
            Self::File(path) => {
                let bytes = file::read(path, MAX_TOKEN_BYTES).await;
                let bytes = bytes.map_err(|error| format!("token file {}: {error}", path.display()))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| "the server's token has characters that a header cannot have".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}
