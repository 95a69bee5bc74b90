//! A TCP connection that a test scripts: it sends bytes, waits for bytes, and closes or resets. Clients and scripted
//! servers are built on it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::message::{Framing, Kind, Message};
use crate::{PATIENCE, Result};

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Received and not yet read as a message.
    received: Vec<u8>,
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// In order.
    Close,
    /// By a reset: what was not sent yet is lost.
    Reset,
}

// === impl Disconnect ===

impl Disconnect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Close, Self::Reset];
}

// === impl Connection ===

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If the connection is not accepted in time.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(to))
            .await
            .map_err(|_| format!("no connection to {to}"))??;
        Self::new(stream)
    }

    /// Takes over an accepted connection.
    ///
    /// # Errors
    /// If it is closed already.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// If the peer has closed, or does not read them in time.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref()))
            .await
            .map_err(|_| "the peer does not read")??;
        Ok(())
    }

    /// Waits until the received bytes contain these.
    ///
    /// # Errors
    /// If the connection ends before, or they are not received in time; with what was received.
    pub async fn wait_for(&mut self, part: impl AsRef<[u8]>) -> Result<()> {
        let part = part.as_ref();
        while !part.is_empty() && !self.received.windows(part.len()).any(|window| window == part) {
            if self.read().await? == 0 {
                return Err(format!("the connection ended after {:?}", self.text()).into());
            }
        }
        Ok(())
    }

    /// Reads the next message; if the connection ends first, as much of it as was received.
    ///
    /// # Errors
    /// If no head is received, or nothing more in time.
    pub async fn read_message(&mut self, kind: Kind) -> Result<Message> {
        loop {
            let parsed = Message::parse(&self.received, kind);
            if let Some((message, used)) = parsed.clone().filter(|(message, _)| message.complete) {
                self.received.drain(..used);
                return Ok(message);
            }
            // A reset is an end, too, but does not complete a body.
            let read = self.read().await;
            let is_end = match &read {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => error.is::<std::io::Error>(),
            };
            match parsed {
                Some((mut message, _)) if is_end => {
                    message.complete = message.framing == Framing::Close && read.is_ok();
                    self.received.clear();
                    return Ok(message);
                }
                None if is_end => return Err(format!("no message, only {:?}: {read:?}", self.text()).into()),
                _ => _ = read?,
            }
        }
    }

    /// Waits until the peer ends the connection, and returns what was received before and not yet read.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn wait_for_close(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.read().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.is::<std::io::Error>() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(std::mem::take(&mut self.received))
    }

    /// Closes the sending half.
    ///
    /// # Errors
    /// If the peer has closed.
    pub async fn half_close(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Ends the connection.
    pub fn disconnect(self, how: Disconnect) {
        if how == Disconnect::Reset {
            // A socket that refuses this is closed already.
            _ = self.stream.set_zero_linger();
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    async fn read(&mut self) -> Result<usize> {
        Ok(timeout(PATIENCE, self.stream.read_buf(&mut self.received))
            .await
            .map_err(|_| format!("nothing more is received after {:?}", self.text()))??)
    }
}
