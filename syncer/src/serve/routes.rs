//! The four paths, and what each answers to whom. `/metrics` is for those whom [`Auth`] lets in; the probes' paths are
//! for all, because a kubelet has no token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::error;

use super::auth::{Auth, Refusal};
use super::body::Body;
use super::limits::Limits;
use super::{Pages, negotiate, page};

/// What `/` says.
const INDEX: &str = "infertally-syncer\n\n/metrics  for Prometheus\n/healthz  alive\n/readyz   ready\n";

/// What is served, and to whom.
pub struct Site {
    pages: Arc<dyn Pages>,
    auth: Auth,
    /// Places for pages in memory.
    places: Arc<Semaphore>,
    /// How long a request waits for one.
    turn: Duration,
}

// === impl Site ===

impl Site {
    /// A site with room for as many pages as the limits say.
    pub fn new(pages: Arc<dyn Pages>, auth: Auth, limits: &Limits) -> Self {
        Self {
            pages,
            auth,
            places: Arc::new(Semaphore::new(limits.pages)),
            turn: limits.turn,
        }
    }

    /// Answers a request by its head.
    pub async fn answer(&self, request: &Parts) -> Response<Body> {
        let answer = self.route(request).await;
        if request.method == Method::HEAD {
            without_body(answer)
        } else {
            answer
        }
    }

    async fn route(&self, request: &Parts) -> Response<Body> {
        let path = request.uri.path();
        if !matches!(path, "/" | "/metrics" | "/healthz" | "/readyz") {
            return text(StatusCode::NOT_FOUND, "not found: see /");
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return with(
                text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"),
                ALLOW,
                HeaderValue::from_static("GET, HEAD"),
            );
        }
        match path {
            "/metrics" => self.metrics(request).await,
            "/healthz" => text(StatusCode::OK, "ok"),
            "/readyz" => match self.pages.ready() {
                Ok(()) => text(StatusCode::OK, "ok"),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
            },
            _ => text(StatusCode::OK, INDEX.trim_end()),
        }
    }

    async fn metrics(&self, request: &Parts) -> Response<Body> {
        if let Err(refusal) = self.auth.check(&request.headers).await {
            return refused(refusal);
        }
        let Ok(Ok(place)) = timeout(self.turn, Arc::clone(&self.places).acquire_owned()).await else {
            return with(
                text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are being read"),
                RETRY_AFTER,
                HeaderValue::from_static("1"),
            );
        };
        let format = negotiate::format(&request.headers);
        let gzip = negotiate::gzip(&request.headers);
        let pages = Arc::clone(&self.pages);
        // A large page takes tens of milliseconds, in which the other connections go on.
        let rendered = spawn_blocking(move || (page::render(&pages.families(), format, gzip), place)).await;
        let (page, place) = match rendered {
            Ok((Ok(page), place)) => (page, place),
            Ok((Err(error), _)) => return failed(&error),
            Err(error) => return failed(&error),
        };
        let mut answer = Response::new(Body::page(page, place));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }
}

fn refused(refusal: Refusal) -> Response<Body> {
    match refusal {
        Refusal::Unauthorized => with(
            text(StatusCode::UNAUTHORIZED, "a valid bearer token is needed"),
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer"),
        ),
        Refusal::Forbidden => text(StatusCode::FORBIDDEN, "this token has no right to get /metrics"),
        Refusal::Unavailable => text(StatusCode::SERVICE_UNAVAILABLE, "the token can't be checked now"),
    }
}

fn failed(error: &dyn std::error::Error) -> Response<Body> {
    error!(error = crate::error_chain(error), "the page of metrics can't be made");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the page can't be made: see the log")
}

/// A line of text.
fn text(status: StatusCode, line: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(Bytes::from(format!("{line}\n"))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn with(mut answer: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    answer.headers_mut().insert(name, value);
    answer
}

/// The answer to HEAD: what GET would say, but for the body.
fn without_body(answer: Response<Body>) -> Response<Body> {
    let length = answer.body().len();
    with(answer.map(|_| Body::default()), CONTENT_LENGTH, length.into())
}
