//! Shutdown of the server.

use infertally_syncer::exposition::Format;
use infertally_syncer::serve::Limits;
use tokio::net::TcpStream;

use crate::harness::{Fixed, NEVER, SOON, TestServer, eventually, in_time, request, without_auth};

#[tokio::test]
async fn a_response_in_flight_completes_and_no_connection_is_accepted() {
    let limits = Limits {
        drain_timeout: NEVER,
        ..Limits::default()
    };
    let pages = Fixed::large();
    let mut server = TestServer::start(pages.clone(), without_auth(limits)).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.request("GET", "/healthz", &[]).await.status, 200);
    let mut reading = server.connect_narrow().await;
    reading.send(&request("GET", "/metrics", &[])).await.unwrap();
    // The response has started.
    in_time(reading.stream.readable()).await.unwrap();

    server.shut_down();
    assert_eq!(idle.closed().await, b"");
    eventually(async || TcpStream::connect(server.address).await.is_err()).await;

    let response = reading.response("GET").await.unwrap();
    assert!(response.text() == pages.page(Format::Text));
    assert_eq!(reading.closed().await, b"");
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_delay_shutdown() {
    let limits = Limits {
        drain_timeout: SOON,
        response_timeout: NEVER,
        ..Limits::default()
    };
    let mut server = TestServer::start(Fixed::large(), without_auth(limits)).await;
    let mut stuck = server.connect_narrow().await;
    stuck.send(&request("GET", "/metrics", &[])).await.unwrap();
    in_time(stuck.stream.readable()).await.unwrap();
    server.shut_down();
    server.stopped().await;
    stuck.closed().await;
}

#[tokio::test]
async fn an_incomplete_request_does_not_delay_shutdown() {
    let limits = Limits {
        drain_timeout: NEVER,
        header_timeout: NEVER,
        close_timeout: SOON,
        ..Limits::default()
    };
    let mut server = TestServer::start(Fixed::small(), without_auth(limits)).await;
    let mut clients = Vec::new();
    for beginning in ["", "GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = server.connect().await;
        client.send(beginning).await.unwrap();
        clients.push(client);
    }
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    server.shut_down();
    server.stopped().await;
    for mut client in clients {
        client.closed().await;
    }
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let server = TestServer::plain().await;
    let mut client = server.connect().await;
    assert_eq!(client.request("GET", "/healthz", &[]).await.status, 200);
    drop(server);
    assert_eq!(client.closed().await, b"");
}
