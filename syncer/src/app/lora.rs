//! `infertally-syncer lora`: from arguments to tasks.

mod changes;
mod config_file;
mod pace;
mod reconciler;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::serving::{self, ServingError};
use crate::cli::lora::{LoraArgs, ReadyWhen};
use crate::exposition::Family;
use crate::http_client::tls::{self, TlsError};
use crate::lora::Reason;
use crate::lora::config::Parsed;
use crate::lora::state::LoraState;
use crate::lora::status::Status;
use crate::model_server::{Asking, Timeouts, Token};
use crate::serve::{Limits, Pages};
pub use config_file::ConfigFileError;
use pace::Pace;
use reconciler::Reconciler;

/// A SIGTERM ends the role within a second, whatever a client of /metrics does.
const DRAIN: Duration = Duration::from_millis(500);
/// Passes of `--once`: one to find that the server can't reload, one to do it otherwise, one to see.
const PASSES_ONCE: usize = 3;

/// Why the role could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    /// There is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// /metrics can't be served.
    #[error(transparent)]
    Serving(#[from] ServingError),
}

/// Whether what was asked for is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is.
    AsWanted,
    /// It is not; why was printed.
    Otherwise,
}

/// What is served, from the last snapshot.
struct Metrics {
    board: watch::Receiver<LoraState>,
    ready_when: ReadyWhen,
}

/// Runs the role until `shutdown`, or until what its mode asks for is done.
///
/// # Errors
/// What keeps it from starting, or ends it.
pub async fn run(args: LoraArgs, shutdown: impl Future<Output = ()> + Send) -> Result<Ended, LoraError> {
    if let Some(path) = &args.check {
        return Ok(check(path).await?);
    }
    let asking = asking(&args)?;
    let (out, board) = watch::channel(LoraState::default());
    let reconciler = Reconciler::new(asking, args.concurrency.into(), out);
    if args.dry_run || args.once {
        let doing = async {
            let parsed = config_file::read(&args.config).await?;
            let reconciler = reconciler.with(parsed);
            Ok(match args.dry_run {
                true => dry_run(reconciler).await,
                false => once(reconciler, &args).await,
            })
        };
        return tokio::select! {
            ended = doing => ended,
            () = shutdown => Ok(Ended::Otherwise),
        };
    }
    let limits = Limits {
        drain_timeout: DRAIN,
        ..Limits::default()
    };
    let server = serving::bind(args.listen(), args.auth_mode(), &args.serve, limits).await?;
    let (read, news) = mpsc::channel(1);
    let _watching = AbortOnDropHandle::new(tokio::spawn(config_file::watch(args.config.clone(), read)));
    let shutdown = shutdown.shared();
    let metrics = Arc::new(Metrics {
        board,
        ready_when: args.ready_when,
    });
    let serving = async {
        server.run(metrics, shutdown.clone()).await;
        Ok(())
    };
    tokio::try_join!(serving, reconciler.run(news, pace(&args), shutdown.clone()))?;
    Ok(Ended::AsWanted)
}

fn asking(args: &LoraArgs) -> Result<Asking, LoraError> {
    let token = match (&args.server_token, &args.server_token_file) {
        (Some(token), _) => Token::Value(Arc::from(token.as_str())),
        (None, Some(path)) => Token::File(path.clone()),
        (None, None) => Token::None,
    };
    let timeouts = Timeouts {
        ask: args.request_timeout,
        call: args.load_timeout,
    };
    let tls = tls::client_config(args.ca_file.as_deref())?;
    Ok(Asking::new(tls, token, timeouts))
}

fn pace(args: &LoraArgs) -> Pace {
    Pace {
        well: args.reconcile_trigger,
        unwell: args.health_check_interval,
        patience: args.health_check_timeout,
    }
}

async fn check(path: &Path) -> Result<Ended, ConfigFileError> {
    let Parsed { config, warnings } = config_file::read(path).await?;
    let path = path.display();
    for warning in warnings {
        println!("warning: {path}: {warning}");
    }
    println!(
        "{path}: can be used: server {}, {} adapters to be loaded, {} not to be, {} in both lists",
        config.server,
        config.wanted.len(),
        config.unwanted.len(),
        config.conflicts.len(),
    );
    Ok(Ended::AsWanted)
}

async fn dry_run(mut reconciler: Reconciler) -> Ended {
    reconciler.look_now().await;
    let board = reconciler.board();
    if let Some(Err(failure)) = board.server() {
        eprintln!("error: the server cannot be asked: {}", failure.why);
        return Ended::Otherwise;
    }
    let calls = board.plan(Instant::now().into_std());
    if calls.is_empty() {
        println!("nothing to do");
    }
    for call in calls {
        println!("{call}");
    }
    Ended::AsWanted
}

async fn once(mut reconciler: Reconciler, args: &LoraArgs) -> Ended {
    let pace = pace(args);
    let deadline = Instant::now() + pace.patience;
    reconciler.look_now().await;
    while !matches!(reconciler.board().server(), Some(Ok(()))) && Instant::now() < deadline {
        tokio::time::sleep(pace.unwell).await;
        reconciler.look_now().await;
    }
    for _ in 1..PASSES_ONCE {
        reconciler.work_off().await;
        reconciler.look_now().await;
    }
    let board = reconciler.board();
    for status in board.statuses() {
        println!("{}", Line(&status));
    }
    match board.ready() {
        Ok(()) => Ended::AsWanted,
        Err(why) => {
            eprintln!("error: {why}");
            Ended::Otherwise
        }
    }
}

/// How an adapter stands, for a person.
struct Line<'a>(&'a Status);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        write!(f, "{}: {}", status.id, status.reason.as_str())?;
        if status.loaded && status.reason != Reason::Loaded {
            f.write_str(", still loaded")?;
        }
        match &status.why {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

// === impl LoraError ===

impl LoraError {
    /// Whether a person has to change the configuration.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Serving(ServingError::Serve(_)))
    }
}

// === impl Metrics ===

impl Pages for Metrics {
    fn families(&self) -> Vec<Family> {
        self.board.borrow().clone().families()
    }

    fn ready(&self) -> Result<(), String> {
        let board = self.board.borrow();
        match self.ready_when {
            ReadyWhen::Loaded => board.ready(),
            ReadyWhen::Configured if board.config().is_some() => Ok(()),
            ReadyWhen::Configured => Err("there is no good configuration yet".to_owned()),
        }
    }
}
