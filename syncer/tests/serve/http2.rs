//! HTTP/2 with prior knowledge.

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use infertally_syncer::exposition::Format;
use infertally_syncer::serve::Limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::harness::{Fixed, NEVER, SOON, TestServer, eventually, in_time, without_auth};

/// A client connection; the task ends with it.
pub struct Http2 {
    send: SendRequest<Empty<Bytes>>,
    pub connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        let (send, connection) = in_time(http2::handshake(TokioExecutor::new(), TokioIo::new(stream)))
            .await
            .unwrap();
        Self {
            send,
            connection: tokio::spawn(connection),
        }
    }

    pub fn request(
        &self,
        method: Method,
        path: &str,
    ) -> impl Future<Output = hyper::Result<http::Response<Bytes>>> + use<> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://test{path}"))
            .header("accept-encoding", "identity")
            .body(Empty::new())
            .unwrap();
        let mut send = self.send.clone();
        async move {
            let (head, body) = in_time(send.send_request(request)).await?.into_parts();
            Ok(http::Response::from_parts(
                head,
                in_time(body.collect()).await?.to_bytes(),
            ))
        }
    }
}

async fn connect(server: &TestServer) -> Http2 {
    Http2::over(server.connect().await.stream).await
}

#[tokio::test]
async fn http_2_responds_as_http_1_does() {
    let pages = Fixed::small();
    let server = TestServer::start(pages.clone(), without_auth(Limits::default())).await;
    let client = connect(&server).await;
    let got = client.request(Method::GET, "/metrics").await.unwrap();
    assert_eq!(
        (got.status(), got.body().as_ref()),
        (StatusCode::OK, pages.page(Format::Text).as_bytes())
    );
    for path in ["/metrics", "/nowhere"] {
        let got = client.request(Method::GET, path).await.unwrap();
        let head = client.request(Method::HEAD, path).await.unwrap();
        assert_eq!(head.status(), got.status());
        assert_eq!(head.headers()["content-length"], got.headers()["content-length"]);
        assert_eq!(head.body().len(), 0);
    }
    assert_eq!(
        client.request(Method::POST, "/metrics").await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        client.request(Method::GET, "/nowhere").await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn large_pages_are_complete_on_concurrent_streams() {
    let pages = Fixed::large();
    let server = TestServer::start(pages.clone(), without_auth(Limits::default())).await;
    let client = connect(&server).await;
    let page = pages.page(Format::Text);
    for response in join_all((0..3).map(|_| client.request(Method::GET, "/metrics"))).await {
        assert!(response.unwrap().body() == page.as_bytes());
    }
}

#[tokio::test]
async fn requests_over_the_stream_limit_wait() {
    let server = TestServer::plain().await;
    let client = connect(&server).await;
    // After this response the client has the server's SETTINGS.
    assert_eq!(
        client.request(Method::GET, "/healthz").await.unwrap().status(),
        StatusCode::OK
    );
    let responses = join_all((0..50).map(|_| client.request(Method::GET, "/healthz"))).await;
    assert!(
        responses
            .iter()
            .all(|response| response.as_ref().unwrap().status() == StatusCode::OK)
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_gracefully() {
    let limits = Limits {
        idle_timeout: SOON,
        close_timeout: NEVER,
        ..Limits::default()
    };
    let server = TestServer::start(Fixed::small(), without_auth(limits)).await;
    let client = connect(&server).await;
    assert_eq!(
        client.request(Method::GET, "/healthz").await.unwrap().status(),
        StatusCode::OK
    );
    assert!(
        in_time(client.connection).await.unwrap().is_ok(),
        "the close is graceful"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_a_stream_is_reset() {
    let limits = Limits {
        pages: 1,
        page_wait: SOON,
        response_timeout: 10 * SOON,
        ..Limits::default()
    };
    let server = TestServer::start(Fixed::large(), without_auth(limits)).await;
    let mut client = connect(&server).await;
    let request = Request::get("http://test/metrics").body(Empty::new()).unwrap();
    let unread = in_time(client.send.send_request(request)).await.unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    eventually(async || server.get("/metrics", &["accept-encoding: gzip"]).await.status == 200).await;
    assert!(
        in_time(unread.into_body().collect()).await.is_err(),
        "the connection was reset"
    );
}

#[tokio::test]
async fn a_response_in_flight_completes_at_shutdown() {
    let pages = Fixed::large();
    let mut server = TestServer::start(
        pages.clone(),
        without_auth(Limits {
            drain_timeout: NEVER,
            ..Limits::default()
        }),
    )
    .await;
    let mut client = connect(&server).await;
    let request = Request::get("http://test/metrics").body(Empty::new()).unwrap();
    let started = in_time(client.send.send_request(request)).await.unwrap();
    server.shut_down();
    eventually(async || tokio::net::TcpStream::connect(server.address).await.is_err()).await;
    let body = in_time(started.into_body().collect()).await.unwrap().to_bytes();
    assert!(body == pages.page(Format::Text).as_bytes());
    server.stopped().await;
}
