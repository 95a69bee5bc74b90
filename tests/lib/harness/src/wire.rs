//! A TCP connection in the hands of a test: it sends what it is told, waits for what it must see, and ends as it is
//! told. Clients and scripted servers are made of it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::message::{Framing, Kind, Message};
use crate::{PATIENCE, Result};

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// What came and was not taken yet.
    seen: Vec<u8>,
}

/// How a connection's end is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Orderly.
    Close,
    /// By a reset: what was not sent yet is lost.
    Reset,
}

// === impl Leaving ===

impl Leaving {
    /// Both ways.
    pub const BOTH: [Self; 2] = [Self::Close, Self::Reset];
}

// === impl Wire ===

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// If nobody accepts in time.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(to))
            .await
            .map_err(|_| format!("no connection to {to}"))??;
        Self::new(stream)
    }

    /// Takes over a connection.
    ///
    /// # Errors
    /// If it is gone already.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            seen: Vec::new(),
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// If the other side is gone, or does not take them in time.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref()))
            .await
            .map_err(|_| "nobody reads")??;
        Ok(())
    }

    /// Waits until what came and was not taken holds these bytes.
    ///
    /// # Errors
    /// If the connection ends before, or they do not come in time; says what came.
    pub async fn see(&mut self, part: impl AsRef<[u8]>) -> Result<()> {
        let part = part.as_ref();
        while !part.is_empty() && !self.seen.windows(part.len()).any(|window| window == part) {
            if self.read().await? == 0 {
                return Err(format!("the connection ended after {:?}", self.text()).into());
            }
        }
        Ok(())
    }

    /// Takes the next message; where the connection ends first, as much of it as came.
    ///
    /// # Errors
    /// If no head comes, or nothing more comes for too long.
    pub async fn message(&mut self, kind: Kind) -> Result<Message> {
        loop {
            let parsed = Message::parse(&self.seen, kind);
            if let Some((message, used)) = parsed.clone().filter(|(message, _)| message.whole) {
                self.seen.drain(..used);
                return Ok(message);
            }
            // A reset is an end, too, but never a clean one.
            let read = self.read().await;
            let is_end = match &read {
                Ok(0) => true,
                Ok(_) => false,
                Err(error) => error.is::<std::io::Error>(),
            };
            match parsed {
                Some((mut message, _)) if is_end => {
                    message.whole = message.framing == Framing::Close && read.is_ok();
                    self.seen.clear();
                    return Ok(message);
                }
                None if is_end => return Err(format!("no message, only {:?}: {read:?}", self.text()).into()),
                _ => _ = read?,
            }
        }
    }

    /// Waits until the other side has ended the connection, and gives what came before that and was not taken.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn closed(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.read().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.is::<std::io::Error>() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(std::mem::take(&mut self.seen))
    }

    /// Says that nothing more is sent; what comes can still be read.
    ///
    /// # Errors
    /// If the other side is gone.
    pub async fn half_close(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Ends the connection.
    pub fn leave(self, how: Leaving) {
        if how == Leaving::Reset {
            // A socket that refuses this is gone already.
            _ = self.stream.set_zero_linger();
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    async fn read(&mut self) -> Result<usize> {
        Ok(timeout(PATIENCE, self.stream.read_buf(&mut self.seen))
            .await
            .map_err(|_| format!("nothing more comes after {:?}", self.text()))??)
    }
}
