//! The server of a case, and what both ends receive.

use std::sync::{Arc, Mutex};

use infertally_harness::Result;
use infertally_harness::connection::Connection;
use infertally_harness::envoy::Envoy;
use infertally_harness::message::{Kind, Message};
use infertally_harness::upstream::Upstream;
use tokio::sync::mpsc;

use crate::cases::{Case, Cut, Framing, Half};

/// The end of what a client sends before it disconnects, so that the server knows when it has everything.
pub const LAST: &[u8] = b"<this is all>";
/// Headers with times and ids, which are only present in both.
const VARIABLE: [&str; 3] = ["date", "x-request-id", "x-envoy-upstream-service-time"];

/// What both ends received in one exchange.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub server: Message,
    /// `None` if the client disconnected.
    pub client: Option<Message>,
}

/// A server that plays the current case and reports what it received.
pub struct Stage {
    case: Arc<Mutex<Option<Case>>>,
    pub upstream: Upstream,
    /// The server has all that the client sends before it disconnects.
    received: mpsc::UnboundedReceiver<()>,
    requests: mpsc::UnboundedReceiver<Message>,
}

pub fn head(line: &str, half: &Half, length: usize, has_body: bool, more: &str) -> Vec<u8> {
    let mut head = format!("{line}\r\n{more}");
    for (name, value) in &half.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some((name, value)) = half.framing.header(length).filter(|_| has_body) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

pub fn part(body: &[u8], thousandths: usize) -> &[u8] {
    &body[..body.len() * thousandths / 1000]
}

// === impl Case ===

impl Case {
    /// The body that the server would send in full.
    pub fn response_body(&self) -> Vec<u8> {
        if self.method == "HEAD" || matches!(self.status, 204 | 304) {
            return Vec::new();
        }
        self.response.body.bytes()
    }

    /// After how many bytes of its body the server cuts the response off, if it does.
    pub fn breaks_at(&self) -> Option<usize> {
        let body = self.response_body();
        match self.cut {
            Some(Cut::Server(at)) if !body.is_empty() && !matches!(self.response.framing, Framing::Close) => {
                Some(body.len() * at / 1000)
            }
            _ => None,
        }
    }

    async fn play(&self, connection: &mut Connection) -> Result<()> {
        let body = self.response_body();
        let line = format!("HTTP/1.1 {} Some Reason", self.status);
        let has_body = !(self.method == "HEAD" || matches!(self.status, 204 | 304));
        // Each exchange has its own connections.
        let head = head(&line, &self.response, body.len(), has_body, "connection: close\r\n");
        connection.send(head).await?;
        if !has_body {
            return Ok(());
        }
        let at = self.breaks_at();
        let framing = &self.response.framing;
        for part in framing.parts(&body[..at.unwrap_or(body.len())]) {
            connection.send(framing.piece(&part)).await?;
            tokio::task::yield_now().await;
        }
        match at {
            Some(_) => Ok(()),
            None => connection.send(framing.end()).await,
        }
    }
}

// === impl Stage ===

impl Stage {
    pub async fn new() -> Self {
        let case: Arc<Mutex<Option<Case>>> = Arc::default();
        let (all, received) = mpsc::unbounded_channel();
        let (report, requests) = mpsc::unbounded_channel();
        let playing = Arc::clone(&case);
        let upstream = Upstream::start(move |mut connection| {
            let (playing, all, report) = (Arc::clone(&playing), all.clone(), report.clone());
            async move {
                let case = playing.lock().map_err(|_| "a panic")?.clone().ok_or("no case")?;
                if case.disconnects() {
                    connection.wait_for(LAST).await?;
                    all.send(())?;
                }
                report.send(connection.read_message(Kind::Request).await?)?;
                if let Some(Cut::HalfClose) = case.cut {
                    all.send(())?;
                    connection.wait_for_close().await?;
                    return Ok(());
                }
                case.play(&mut connection).await
            }
        })
        .await
        .unwrap();
        Self {
            case,
            upstream,
            received,
            requests,
        }
    }

    pub async fn run(&mut self, envoy: &Envoy, case: &Case) -> Result<Seen> {
        *self.case.lock().unwrap() = Some(case.clone());
        let client = case.send(envoy.listener(), &mut self.received).await?;
        if client.is_some() && self.requests.is_empty() {
            return Err(format!("Envoy sent a local reply: {client:?}").into());
        }
        let server = self.requests.recv().await.ok_or("the server has stopped")?;
        Ok(Seen {
            server: masked(server),
            client: client.map(masked),
        })
    }
}

fn masked(mut message: Message) -> Message {
    for (name, value) in &mut message.headers {
        if VARIABLE.contains(&name.as_str()) {
            "*".clone_into(value);
        }
    }
    message
}
