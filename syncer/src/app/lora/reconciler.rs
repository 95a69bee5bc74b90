//! The one task that writes the board: it asks the server what it holds, makes the calls that are planned, and tells the
//! board what came of them.
//!
//! Two looks at the server never overlap. Calls do, within a bound, and a look does not wait for them: a load that takes a
//! minute delays neither another adapter nor a change of the configuration.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use super::changes::Changes;
use super::config_file::ConfigFileError;
use super::pace::{Asked, Pace};
use crate::error_chain;
use crate::lora::config::{Config, Parsed};
use crate::lora::observed::Observed;
use crate::lora::request::{Call, Operation};
use crate::lora::response::Outcome;
use crate::lora::state::LoraState;
use crate::model_server::{Asking, ModelServer};

/// What a call has before the next one: a quick answer comes within it, so that the server sees the file's order; a slow
/// one holds up nobody for longer.
const HEAD_START: Duration = Duration::from_millis(50);
/// How long a load under way is awaited when the role ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// Keeps the server as configured.
pub(super) struct Reconciler {
    board: LoraState,
    out: watch::Sender<LoraState>,
    asking: Asking,
    /// Calls at a time.
    concurrency: usize,
    /// That of the configuration.
    server: Option<ModelServer>,
    /// One at most.
    looks: JoinSet<Observed>,
    calls: JoinSet<Answered>,
    /// Planned at the last look, and not yet made.
    planned: VecDeque<Call>,
    /// When the next call may be made.
    next_call: Instant,
    changes: Changes,
}

/// What came of a call's requests.
type Answered = (Call, Vec<(Operation, Outcome)>);

/// What a step was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happened {
    /// The server has said what it holds, or couldn't be asked.
    Look,
    /// A call was made.
    Call,
    /// A call was answered, so that the server may hold something else than before.
    Answer,
}

// === impl Reconciler ===

impl Reconciler {
    pub(super) fn new(asking: Asking, concurrency: usize, out: watch::Sender<LoraState>) -> Self {
        Self {
            board: LoraState::default(),
            out,
            asking,
            concurrency,
            server: None,
            looks: JoinSet::new(),
            calls: JoinSet::new(),
            planned: VecDeque::new(),
            next_call: Instant::now(),
            changes: Changes::default(),
        }
    }

    /// The same with a configuration.
    pub(super) fn with(mut self, parsed: Parsed) -> Self {
        self.configured(parsed);
        self
    }

    pub(super) fn board(&self) -> &LoraState {
        &self.board
    }

    /// Goes on until `shutdown`. `news` is what the configuration's file says.
    ///
    /// # Errors
    /// There was no configuration that could be used for as long as patience lasts.
    pub(super) async fn run(
        mut self,
        mut news: mpsc::Receiver<Result<Parsed, ConfigFileError>>,
        pace: Pace,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ConfigFileError> {
        let mut shutdown = pin!(shutdown);
        let deadline = Instant::now() + pace.patience;
        let mut wrong = None;
        let mut asked = Asked::new(pace);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(read) = news.recv() => match read {
                    Ok(parsed) => if self.configured(parsed) {
                        asked.soon();
                    },
                    Err(error) => {
                        self.misconfigured(&error);
                        wrong = Some(error);
                    }
                },
                Some(error) = async {
                    sleep_until(deadline).await;
                    wrong.take()
                }, if self.server.is_none() && wrong.is_some() => return Err(error),
                () = sleep_until(asked.due), if self.server.is_some() && self.looks.is_empty() => {
                    asked.now();
                    self.look();
                }
                happened = self.step() => match happened {
                    Happened::Look => asked.answered(&self.board),
                    Happened::Answer => asked.again(),
                    Happened::Call => {}
                },
            }
        }
        self.end().await;
        Ok(())
    }

    /// Asks the server and waits for what it says.
    pub(super) async fn look_now(&mut self) {
        self.look();
        while !self.looks.is_empty() {
            self.step().await;
        }
    }

    /// Makes all calls that are planned and waits for what comes of them.
    pub(super) async fn work_off(&mut self) {
        while !self.planned.is_empty() || !self.calls.is_empty() || !self.looks.is_empty() {
            self.step().await;
        }
    }

    /// Says whether it is another one than before.
    fn configured(&mut self, Parsed { config, warnings }: Parsed) -> bool {
        for warning in &warnings {
            warn!(%warning, "the configuration is odd");
        }
        let Config {
            server,
            name,
            wanted,
            unwanted,
            conflicts,
        } = &config;
        info!(
            name = name.as_deref(),
            %server,
            wanted = wanted.len(),
            unwanted = unwanted.len(),
            conflicts = conflicts.len(),
            "the configuration was read"
        );
        let before = self.board.config().cloned();
        if before.as_ref().is_none_or(|before| before.server != *server) {
            // What the server before says now is nothing to this one.
            self.server = Some(self.asking.server(server.clone()));
            self.looks = JoinSet::new();
            self.calls = JoinSet::new();
        }
        let is_another = before.is_none_or(|before| *before != config);
        if is_another {
            self.planned.clear();
        }
        self.board.configured(config);
        self.publish();
        is_another
    }

    fn misconfigured(&mut self, error: &ConfigFileError) {
        for mistake in error_chain(error).lines() {
            error!(mistake, "the configuration cannot be used");
        }
        if self.board.config().is_some() {
            warn!("the last good configuration stays in force");
        }
        self.board.misconfigured();
        self.publish();
    }

    fn look(&mut self) {
        if let (Some(server), true) = (&self.server, self.looks.is_empty()) {
            let server = server.clone();
            self.looks.spawn(async move { server.look().await });
        }
    }

    /// Waits for the next thing to happen, and does what follows from it. May be dropped.
    async fn step(&mut self) -> Happened {
        let may_call = !self.planned.is_empty() && self.calls.len() < self.concurrency;
        tokio::select! {
            Some(observed) = self.looks.join_next() => {
                self.observed(observed);
                Happened::Look
            }
            // What the server says in a look may be older than an answer that comes meanwhile, so the answer waits.
            Some(answered) = self.calls.join_next(), if self.looks.is_empty() => {
                self.answered(answered);
                Happened::Answer
            }
            () = sleep_until(self.next_call), if may_call => {
                self.call();
                Happened::Call
            }
            else => std::future::pending().await,
        }
    }

    fn observed(&mut self, observed: Result<Observed, JoinError>) {
        let Ok(observed) = observed.inspect_err(log_panic) else {
            return;
        };
        self.board.observed(observed, now(), jitter());
        if let Ok(at) = wall_clock().duration_since(UNIX_EPOCH) {
            self.board.observed_at(at);
        }
        self.planned = self.board.plan(now()).into();
        self.publish();
    }

    fn call(&mut self) {
        let (Some(call), Some(server)) = (self.planned.pop_front(), self.server.clone()) else {
            return;
        };
        self.next_call = Instant::now() + HEAD_START;
        self.board.started(&call);
        self.publish();
        self.calls.spawn(async move {
            let mut outcomes = Vec::new();
            for request in call.requests() {
                let operation = request.operation;
                let outcome = server.call(request).await.outcome(operation);
                let goes_on = outcome == Outcome::Done;
                outcomes.push((operation, outcome));
                if !goes_on {
                    break;
                }
            }
            (call, outcomes)
        });
    }

    fn answered(&mut self, answered: Result<Answered, JoinError>) {
        let Ok((call, outcomes)) = answered.inspect_err(log_panic) else {
            return;
        };
        for (operation, outcome) in &outcomes {
            self.board.answered(&call, *operation, outcome, now(), jitter());
        }
        self.next_call = Instant::now();
        self.publish();
    }

    fn publish(&mut self) {
        self.changes.log(&self.board);
        self.out.send_replace(self.board.clone());
    }

    async fn end(mut self) {
        self.planned.clear();
        self.looks = JoinSet::new();
        if timeout(FAREWELL, self.work_off()).await.is_err() {
            let calls = self.calls.len();
            warn!(
                calls,
                "ended without waiting for the server any longer; the next start finds what it did"
            );
        }
    }
}

/// The clock of the runtime, which tests can stop.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// For a metric that people compare with their own clocks.
#[allow(clippy::disallowed_methods, reason = "this is no part of the filter")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// From 0 to 1, another one each time.
fn jitter() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

fn log_panic(error: &JoinError) {
    error!(%error, "a task failed");
}
