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

use crate::stage::{Fixed, NEVER, Running, SOON, open, until, within};

/// A client's connection; the task ends with the connection.
pub struct Http2 {
    send: SendRequest<Empty<Bytes>>,
    pub connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        let (send, connection) = within(http2::handshake(TokioExecutor::new(), TokioIo::new(stream)))
            .await
            .unwrap();
        Self {
            send,
            connection: tokio::spawn(connection),
        }
    }

    pub fn ask(
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
            let (head, body) = within(send.send_request(request)).await?.into_parts();
            Ok(http::Response::from_parts(
                head,
                within(body.collect()).await?.to_bytes(),
            ))
        }
    }
}

async fn connect(server: &Running) -> Http2 {
    Http2::over(server.connect().await.stream).await
}

#[tokio::test]
async fn it_answers_as_http_1_does() {
    let pages = Fixed::small();
    let server = Running::start(pages.clone(), open(Limits::default())).await;
    let client = connect(&server).await;
    let got = client.ask(Method::GET, "/metrics").await.unwrap();
    assert_eq!(
        (got.status(), got.body().as_ref()),
        (StatusCode::OK, pages.page(Format::Text).as_bytes())
    );
    for path in ["/metrics", "/nowhere"] {
        let got = client.ask(Method::GET, path).await.unwrap();
        let head = client.ask(Method::HEAD, path).await.unwrap();
        assert_eq!(head.status(), got.status());
        assert_eq!(head.headers()["content-length"], got.headers()["content-length"]);
        assert_eq!(head.body().len(), 0);
    }
    assert_eq!(
        client.ask(Method::POST, "/metrics").await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        client.ask(Method::GET, "/nowhere").await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn large_pages_come_whole_side_by_side() {
    let pages = Fixed::large();
    let server = Running::start(pages.clone(), open(Limits::default())).await;
    let client = connect(&server).await;
    let page = pages.page(Format::Text);
    for answer in join_all((0..3).map(|_| client.ask(Method::GET, "/metrics"))).await {
        assert!(answer.unwrap().body() == page.as_bytes());
    }
}

#[tokio::test]
async fn more_requests_than_streams_wait_their_turn() {
    let server = Running::plain().await;
    let client = connect(&server).await;
    // By now the client knows how many streams there are.
    assert_eq!(
        client.ask(Method::GET, "/healthz").await.unwrap().status(),
        StatusCode::OK
    );
    let answers = join_all((0..50).map(|_| client.ask(Method::GET, "/healthz"))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status() == StatusCode::OK)
    );
}

#[tokio::test]
async fn an_idle_connection_is_told_goodbye() {
    let limits = Limits {
        idle: SOON,
        farewell: NEVER,
        ..Limits::default()
    };
    let server = Running::start(Fixed::small(), open(limits)).await;
    let client = connect(&server).await;
    assert_eq!(
        client.ask(Method::GET, "/healthz").await.unwrap().status(),
        StatusCode::OK
    );
    assert!(
        within(client.connection).await.unwrap().is_ok(),
        "the goodbye is no error"
    );
}

#[tokio::test]
async fn who_does_not_read_a_stream_loses_the_connection_and_its_places() {
    let limits = Limits {
        pages: 1,
        turn: SOON,
        answer: 10 * SOON,
        ..Limits::default()
    };
    let server = Running::start(Fixed::large(), open(limits)).await;
    let mut client = connect(&server).await;
    let request = Request::get("http://test/metrics").body(Empty::new()).unwrap();
    let unread = within(client.send.send_request(request)).await.unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    until(async || server.get("/metrics", &["accept-encoding: gzip"]).await.status == 200).await;
    assert!(within(unread.into_body().collect()).await.is_err(), "it was cut off");
}

#[tokio::test]
async fn an_answer_under_way_is_finished_at_the_end() {
    let pages = Fixed::large();
    let mut server = Running::start(
        pages.clone(),
        open(Limits {
            drain: NEVER,
            ..Limits::default()
        }),
    )
    .await;
    let mut client = connect(&server).await;
    let request = Request::get("http://test/metrics").body(Empty::new()).unwrap();
    let begun = within(client.send.send_request(request)).await.unwrap();
    server.tell();
    until(async || tokio::net::TcpStream::connect(server.address).await.is_err()).await;
    let body = within(begun.into_body().collect()).await.unwrap().to_bytes();
    assert!(body == pages.page(Format::Text).as_bytes());
    server.ended().await;
}
