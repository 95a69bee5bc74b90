//! The filter changes, holds and loses nothing: any exchange through an Envoy with it is, at the client and at the
//! server, byte for byte what it is through the same Envoy without it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

mod cases;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cases::{Case, Cut, Framing, Half, cases};
use infertally_e2e::envoy::{Binaries, Envoy, EnvoyConfig};
use infertally_e2e::expected::requests;
use infertally_e2e::message::{Kind, Message};
use infertally_e2e::upstream::Upstream;
use infertally_e2e::wire::Wire;
use infertally_e2e::{Result, edits};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How many exchanges are drawn.
const CASES: u32 = 80;
/// Time for one exchange. Also the shrinking of a failure waits so long each time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ends what a client sends before it goes away, so that the server knows when it has all of that.
const LAST: &[u8] = b"<this is all>";
/// Headers with times and ids: that they are there is all that can be equal.
const OWN: [&str; 3] = ["date", "x-request-id", "x-envoy-upstream-service-time"];
/// Of an answer that the server breaks off, Envoy may keep back what it has not written yet; not of one so small.
const WRITTEN_AT_ONCE: usize = 8 * 1024;

/// What both ends saw of one exchange.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    server: Message,
    /// `None` where the client went away.
    client: Option<Message>,
}

/// A server that plays the current case, and tells what it got.
struct Stage {
    case: Arc<Mutex<Option<Case>>>,
    upstream: Upstream,
    /// All that a client sends before it leaves has come.
    came: mpsc::UnboundedReceiver<()>,
    got: mpsc::UnboundedReceiver<Message>,
}

fn head(line: &str, half: &Half, length: usize, has_body: bool, more: &str) -> Vec<u8> {
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

fn part(body: &[u8], thousandths: usize) -> &[u8] {
    &body[..body.len() * thousandths / 1000]
}

// === impl Case ===

impl Case {
    /// What the client sends.
    fn request(&self) -> Vec<Vec<u8>> {
        let body = self.request.body.bytes();
        let framing = &self.request.framing;
        let line = format!("{} {} HTTP/1.1", self.method, self.path);
        let (writes, length) = match self.cut {
            Some(Cut::Client(at)) => {
                let sent = framing.writes(part(&body, at));
                ([sent, vec![framing.piece(LAST)]].concat(), body.len() + LAST.len() + 1)
            }
            _ => ([framing.writes(&body), vec![framing.end()]].concat(), body.len()),
        };
        let head = head(&line, &self.request, length, true, "host: test\r\n");
        [vec![head], writes].concat()
    }

    fn client_leaves(&self) -> bool {
        matches!(self.cut, Some(Cut::Client(_)))
    }

    /// The body that the server means to send.
    fn answer_body(&self) -> Vec<u8> {
        if self.method == "HEAD" || matches!(self.status, 204 | 304) {
            return Vec::new();
        }
        self.answer.body.bytes()
    }

    /// Whether the server breaks its answer off, and after how many bytes of its body.
    fn breaks_at(&self) -> Option<usize> {
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
        let mut writes = framing.writes(&body[..at.unwrap_or(body.len())]);
        if at.is_none() {
            writes.push(framing.end());
        }
        for write in writes {
            wire.send(write).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

// === impl Stage ===

impl Stage {
    async fn new() -> Self {
        let case: Arc<Mutex<Option<Case>>> = Arc::default();
        let (all, came) = mpsc::unbounded_channel();
        let (tell, got) = mpsc::unbounded_channel();
        let playing = Arc::clone(&case);
        let upstream = Upstream::start(move |mut wire| {
            let (playing, all, tell) = (Arc::clone(&playing), all.clone(), tell.clone());
            async move {
                let case = playing.lock().map_err(|_| "a panic")?.clone().ok_or("no case")?;
                if case.client_leaves() {
                    wire.see(LAST).await?;
                    all.send(())?;
                }
                tell.send(wire.message(Kind::Request).await?)?;
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

    async fn run(&mut self, envoy: &Envoy, case: &Case) -> Result<Seen> {
        *self.case.lock().unwrap() = Some(case.clone());
        let mut wire = Wire::connect(envoy.listener()).await?;
        for write in case.request() {
            wire.send(write).await?;
            tokio::task::yield_now().await;
        }
        let client = if case.client_leaves() {
            self.came.recv().await;
            drop(wire);
            None
        } else {
            let kind = if case.method == "HEAD" {
                Kind::AnswerToHead
            } else {
                Kind::Answer
            };
            let client = wire.message(kind).await?;
            if self.got.is_empty() {
                return Err(format!("Envoy answers by itself: {client:?}").into());
            }
            Some(masked(client))
        };
        let server = self.got.recv().await.ok_or("the server is gone")?;
        Ok(Seen {
            server: masked(server),
            client,
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

/// Both ends have what the other one sent.
fn complete(case: &Case, seen: &Seen) -> std::result::Result<(), String> {
    let asked = case.request.body.bytes();
    let answered = case.answer_body();
    let Some(client) = &seen.client else {
        let Some(Cut::Client(at)) = case.cut else {
            return Err("the client left".into());
        };
        let sent = [part(&asked, at), LAST].concat();
        return equal("the part of the request", &seen.server.body, &sent);
    };
    if !seen.server.whole {
        return Err("the request has no end".into());
    }
    equal("the request", &seen.server.body, &asked)?;
    match case.breaks_at() {
        None if client.whole => equal("the answer", &client.body, &answered),
        None => Err("the answer has no end".into()),
        Some(_) if client.whole => Err("the answer has an end".into()),
        Some(at) if at <= WRITTEN_AT_ONCE => equal("the part of the answer", &client.body, &answered[..at]),
        Some(at) => {
            let came = client.body.len().min(at);
            equal("the part of the answer", &client.body, &answered[..came])
        }
    }
}

fn equal(what: &str, seen: &[u8], sent: &[u8]) -> std::result::Result<(), String> {
    if seen == sent {
        return Ok(());
    }
    let at = seen.iter().zip(sent).take_while(|(seen, sent)| seen == sent).count();
    Err(format!(
        "{what} differs at byte {at}: {} of {} bytes came",
        seen.len(),
        sent.len()
    ))
}

/// What may differ between two runs of one Envoy is made equal.
fn comparable(case: &Case, mut seen: Seen) -> Seen {
    if let (Some(at), Some(client)) = (case.breaks_at(), &mut seen.client)
        && at > WRITTEN_AT_ONCE
    {
        client.body.clear();
    }
    seen
}

fn trailers(config: EnvoyConfig) -> Result<EnvoyConfig> {
    let config = edits::connection_manager(config, "http_protocol_options: {enable_trailers: true}")?;
    let http1 = edits::HTTP2.replace(
        "http2_protocol_options: {}",
        "http_protocol_options: {enable_trailers: true}",
    );
    edits::model_server(config, &http1)
}

#[test]
fn any_exchange_is_the_same_with_the_filter_and_without() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut stage, with, without) = runtime.block_on(async {
        let stage = Stage::new().await;
        let binaries = Binaries::from_env().unwrap();
        let with = Envoy::start(&binaries, stage.upstream.addr(), 1, trailers)
            .await
            .unwrap();
        let without = Envoy::start(&binaries, stage.upstream.addr(), 1, |config| {
            edits::without_the_filter(trailers(config)?)
        })
        .await
        .unwrap();
        (stage, with, without)
    });
    let stage = std::cell::RefCell::new(&mut stage);
    let measured = std::cell::Cell::new(0u64);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 200,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&cases(), |case| {
        let mut stage = stage.borrow_mut();
        let mut run = |envoy: &Envoy| {
            let seen = runtime
                .block_on(async { timeout(PATIENCE, stage.run(envoy, &case)).await? })
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            complete(&case, &seen).map_err(TestCaseError::fail)?;
            Ok::<_, TestCaseError>(comparable(&case, seen))
        };
        let plain = run(&without)?;
        let filtered = run(&with)?;
        if case.method == "POST" && case.path.contains("/v1/") && !case.path.contains("/v1/models") {
            measured.set(measured.get() + 1);
        }
        // Bodies are long to print, and held equal already.
        let parts = |message: &Message| {
            let Message {
                line,
                headers,
                framing,
                body: _,
                trailers,
                whole,
            } = message.clone();
            (line, headers, framing, trailers, whole)
        };
        proptest::prop_assert_eq!(parts(&filtered.server), parts(&plain.server));
        proptest::prop_assert_eq!(filtered.client.as_ref().map(parts), plain.client.as_ref().map(parts));
        proptest::prop_assert!(filtered == plain, "the bodies differ");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}\n{}", runtime.block_on(async { with.log() }));
    }
    // The filter was there and saw them.
    let saw = runtime.block_on(with.scrape_until(|stats| match requests(stats) {
        seen if seen == measured.get() => Ok(()),
        seen => Err(format!("{seen} requests, must be {}", measured.get())),
    }));
    saw.unwrap();
    assert!(measured.get() > 10);
    assert_eq!(with.log().matches("wasm").count(), 0, "{}", with.log());
}
