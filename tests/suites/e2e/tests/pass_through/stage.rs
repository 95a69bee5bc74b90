//! The server of a case, and what both ends saw of it.

use std::sync::{Arc, Mutex};

use infertally_harness::Result;
use infertally_harness::envoy::Envoy;
use infertally_harness::message::{Kind, Message};
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::Wire;
use tokio::sync::mpsc;

use crate::cases::{Case, Cut, Framing, Half};

/// Ends what a client sends before it goes away, so that the server knows when it has all of that.
pub const LAST: &[u8] = b"<this is all>";
/// Headers with times and ids: that they are there is all that can be equal.
const OWN: [&str; 3] = ["date", "x-request-id", "x-envoy-upstream-service-time"];

/// What both ends saw of one exchange.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub server: Message,
    /// `None` where the client went away.
    pub client: Option<Message>,
}

/// A server that plays the current case, and tells what it got.
pub struct Stage {
    case: Arc<Mutex<Option<Case>>>,
    pub upstream: Upstream,
    /// All that a client sends before it leaves has come.
    came: mpsc::UnboundedReceiver<()>,
    got: mpsc::UnboundedReceiver<Message>,
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
    /// The body that the server means to send.
    pub fn answer_body(&self) -> Vec<u8> {
        if self.method == "HEAD" || matches!(self.status, 204 | 304) {
            return Vec::new();
        }
        self.answer.body.bytes()
    }

    /// Whether the server breaks its answer off, and after how many bytes of its body.
    pub fn breaks_at(&self) -> Option<usize> {
        let body = self.answer_body();
        match self.cut {
            Some(Cut::Server(at)) if !body.is_empty() && !matches!(self.answer.framing, Framing::Close) => {
                Some(body.len() * at / 1000)
            }
            _ => None,
        }
    }

    async fn play(&self, wire: &mut Wire) -> Result<()> {
        let body = self.answer_body();
        let line = format!("HTTP/1.1 {} Some Reason", self.status);
        let has_body = !(self.method == "HEAD" || matches!(self.status, 204 | 304));
        // Each exchange has connections of its own, which end with it.
        let head = head(&line, &self.answer, body.len(), has_body, "connection: close\r\n");
        wire.send(head).await?;
        if !has_body {
            return Ok(());
        }
        let at = self.breaks_at();
        let framing = &self.answer.framing;
        for part in framing.parts(&body[..at.unwrap_or(body.len())]) {
            wire.send(framing.piece(&part)).await?;
            tokio::task::yield_now().await;
        }
        match at {
            Some(_) => Ok(()),
            None => wire.send(framing.end()).await,
        }
    }
}

// === impl Stage ===

impl Stage {
    pub async fn new() -> Self {
        let case: Arc<Mutex<Option<Case>>> = Arc::default();
        let (all, came) = mpsc::unbounded_channel();
        let (tell, got) = mpsc::unbounded_channel();
        let playing = Arc::clone(&case);
        let upstream = Upstream::start(move |mut wire| {
            let (playing, all, tell) = (Arc::clone(&playing), all.clone(), tell.clone());
            async move {
                let case = playing.lock().map_err(|_| "a panic")?.clone().ok_or("no case")?;
                if case.leaves() {
                    wire.see(LAST).await?;
                    all.send(())?;
                }
                tell.send(wire.message(Kind::Request).await?)?;
                if let Some(Cut::HalfClose) = case.cut {
                    all.send(())?;
                    wire.closed().await?;
                    return Ok(());
                }
                case.play(&mut wire).await
            }
        })
        .await
        .unwrap();
        Self {
            case,
            upstream,
            came,
            got,
        }
    }

    pub async fn run(&mut self, envoy: &Envoy, case: &Case) -> Result<Seen> {
        *self.case.lock().unwrap() = Some(case.clone());
        let client = case.ask(envoy.listener(), &mut self.came).await?;
        if client.is_some() && self.got.is_empty() {
            return Err(format!("Envoy answers by itself: {client:?}").into());
        }
        let server = self.got.recv().await.ok_or("the server is gone")?;
        Ok(Seen {
            server: masked(server),
            client: client.map(masked),
        })
    }
}

fn masked(mut message: Message) -> Message {
    for (name, value) in &mut message.headers {
        if OWN.contains(&name.as_str()) {
            "*".clone_into(value);
        }
    }
    message
}
