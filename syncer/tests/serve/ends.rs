//! The server's end.

use infertally_syncer::exposition::Format;
use infertally_syncer::serve::Limits;
use tokio::net::TcpStream;

use crate::stage::{Fixed, NEVER, Running, SOON, open, request, until, within};

#[tokio::test]
async fn an_answer_under_way_is_finished_and_nothing_new_begins() {
    let limits = Limits {
        drain: NEVER,
        ..Limits::default()
    };
    let pages = Fixed::large();
    let mut server = Running::start(pages.clone(), open(limits)).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.ask("GET", "/healthz", &[]).await.status, 200);
    let mut reading = server.connect_narrow().await;
    reading.send(&request("GET", "/metrics", &[])).await.unwrap();
    // Its answer has begun.
    within(reading.stream.readable()).await.unwrap();

    server.tell();
    assert_eq!(idle.closed().await, b"");
    until(async || TcpStream::connect(server.address).await.is_err()).await;

    let answer = reading.answer("GET").await.unwrap();
    assert!(answer.text() == pages.page(Format::Text));
    assert_eq!(reading.closed().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_the_end_up() {
    let limits = Limits {
        drain: SOON,
        answer: NEVER,
        ..Limits::default()
    };
    let mut server = Running::start(Fixed::large(), open(limits)).await;
    let mut stuck = server.connect_narrow().await;
    stuck.send(&request("GET", "/metrics", &[])).await.unwrap();
    within(stuck.stream.readable()).await.unwrap();
    server.tell();
    server.ended().await;
    stuck.closed().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_does_not_hold_the_end_up() {
    let limits = Limits {
        drain: NEVER,
        head: NEVER,
        farewell: SOON,
        ..Limits::default()
    };
    let mut server = Running::start(Fixed::small(), open(limits)).await;
    let mut clients = Vec::new();
    for beginning in ["", "GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = server.connect().await;
        client.send(beginning).await.unwrap();
        clients.push(client);
    }
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    server.tell();
    server.ended().await;
    for mut client in clients {
        client.closed().await;
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_takes_its_connections_with_it() {
    let server = Running::plain().await;
    let mut client = server.connect().await;
    assert_eq!(client.ask("GET", "/healthz", &[]).await.status, 200);
    drop(server);
    assert_eq!(client.closed().await, b"");
}
