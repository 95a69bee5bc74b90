//! The routes of a role. `/metrics` is for clients that [`Auth`] lets in; the probes are for all, because a kubelet
//! sends no token.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::StatusCode;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::error;

use super::auth::{self, Auth};
use super::limits::Limits;
use super::{Pages, negotiate};
use crate::exposition::MediaType;

const INDEX: &str = "infertally-syncer\n\n/metrics  for Prometheus\n/healthz  alive\n/readyz   ready\n";

/// The default size of an HTTP/2 frame. hyper takes the next frame when it has room for it, so the body lives about as
/// long as the client takes to read it; hyper would take a single large frame at once.
const FRAME: usize = 16 * 1024;

/// What the handlers share.
#[derive(Clone)]
struct AppState {
    pages: Arc<dyn Pages>,
    /// Permits for pages in memory.
    permits: Arc<Semaphore>,
    page_wait: Duration,
}

/// The router of a role.
pub fn router(pages: Arc<dyn Pages>, auth: Auth, limits: &Limits) -> Router {
    let authorized = from_fn_with_state(Arc::new(auth), auth::require);
    let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/metrics", get(metrics).route_layer(authorized))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .route("/", get(INDEX))
        .method_not_allowed_fallback(async || {
            let allow = [(ALLOW, "GET, HEAD")];
            (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD are allowed\n")
        })
        .fallback(async || (StatusCode::NOT_FOUND, "not found; / lists what there is\n"))
        .layer(header(CACHE_CONTROL, "no-store"))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .with_state(AppState {
            pages,
            permits: Arc::new(Semaphore::new(limits.pages)),
            page_wait: limits.page_wait,
        })
}

async fn ready(State(state): State<AppState>) -> Response {
    match state.pages.ready() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let Ok(Ok(permit)) = timeout(state.page_wait, state.permits.acquire_owned()).await else {
        let retry = [(RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, "too many scrapes in flight\n").into_response();
    };
    let media_type = negotiate::media_type(&headers);
    let gzip = negotiate::gzip(&headers);
    // A large page takes tens of milliseconds, which would hold up the other connections. The permit goes along: a
    // client that disconnects leaves the page in memory until it is rendered.
    let rendered = spawn_blocking(move || render(&*state.pages, media_type, gzip).map(|page| (page, permit)));
    let (page, permit) = match rendered.await {
        Ok(Ok(rendered)) => rendered,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type.content_type())),
        (CONTENT_LENGTH, page.len().into()),
        (VARY, HeaderValue::from_static("accept, accept-encoding")),
    ];
    let coding = gzip.then_some([(CONTENT_ENCODING, "gzip")]);
    (headers, coding, body(page, permit)).into_response()
}

/// Renders and compresses, fast rather than well, because each scrape does it. tower-http's `CompressionLayer` would
/// compress on the tasks that serve all connections, and send no `Content-Length`.
fn render(pages: &dyn Pages, media_type: MediaType, gzip: bool) -> io::Result<Bytes> {
    let page = media_type.page(&pages.families());
    if !gzip {
        return Ok(page.into());
    }
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(&page)?;
    Ok(compressed.finish()?.into())
}

/// The page in small frames; the permit is held until the last one is taken, or the client disconnects.
fn body(mut page: Bytes, permit: OwnedSemaphorePermit) -> Body {
    Body::from_stream(stream::iter(iter::from_fn(move || {
        let _held = &permit;
        (!page.is_empty()).then(|| Ok::<_, Infallible>(page.split_to(page.len().min(FRAME))))
    })))
}

fn failed(error: &dyn Error) -> Response {
    error!(
        error = crate::error_chain(error),
        "failed to render /metrics; replied with 500"
    );
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "failed to render the page; the log has the reason\n",
    )
        .into_response()
}
