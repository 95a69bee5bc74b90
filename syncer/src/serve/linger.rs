//! A close that does not undo the response. A system that closes a socket with unread bytes sends a reset, upon which
//! the peer's discards what its client has not read yet (RFC 1122, section 4.2.2.13): the end of the response, when
//! the client is still sending a body or HTTP/2 frames.

use std::io;
use std::net;
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes that are read from a client that is still sending: frames on their way, or a small body. A client that sends
/// more ignores the close.
const UNREAD_BYTES: u64 = 64 * 1024;

/// A second handle of a socket, which stays open when hyper has closed its own.
#[derive(Debug)]
pub struct Linger(net::TcpStream);

// === impl Linger ===

impl Linger {
    pub fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self(stream.as_fd().try_clone_to_owned()?.into()))
    }

    /// Sends FIN if that has not been done, and reads until the client's.
    pub async fn close(self, patience: Duration) -> io::Result<()> {
        let mut stream = TcpStream::from_std(self.0)?;
        stream.shutdown().await?;
        let mut rest = stream.take(UNREAD_BYTES);
        timeout(patience, copy(&mut rest, &mut sink())).await??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    #[tokio::test]
    async fn the_client_can_read_all_that_was_sent_before_the_close() {
        let (mut server, mut client) = sockets().await;
        let linger = Linger::of(&server).unwrap();
        server.write_all(b"response").await.unwrap();
        client.write_all(b"unread").await.unwrap();
        drop(server);
        let closing = tokio::spawn(linger.close(NEVER));
        let mut response = Vec::new();
        client.read_to_end(&mut response).await.unwrap();
        assert_eq!(response, b"response");
        assert!(!closing.is_finished());
        drop(client);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_close_is_waited_for_until_the_timeout() {
        let (server, _client) = sockets().await;
        let closed = Linger::of(&server).unwrap().close(Duration::from_millis(20)).await;
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_keeps_sending_is_reset() {
        let (server, mut client) = sockets().await;
        let linger = Linger::of(&server).unwrap();
        drop(server);
        let sending = tokio::spawn(async move { while client.write_all(&[0; 512]).await.is_ok() {} });
        timeout(NEVER, linger.close(NEVER)).await.unwrap().unwrap();
        sending.await.unwrap();
    }
}
