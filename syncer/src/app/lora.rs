//! `infertally-syncer lora`: wires the configuration file, the model servers and the metrics server to the reconcile loop,
//! and runs the modes that end by themselves.

mod config_file;
mod model_server;
mod poll_schedule;
mod reconciler;
mod status_log;

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
use crate::file::Reload;
use crate::http_client::tls::{self, TlsError};
use crate::lora::Reason;
use crate::lora::config::Parsed;
use crate::lora::state::LoraState;
use crate::lora::status::AdapterStatus;
use crate::serve::{Limits, Pages};
pub use config_file::ConfigFileError;
use model_server::{BearerToken, Client, Timeouts};
use poll_schedule::Intervals;
use reconciler::{Reconciler, Settings, addresses};

/// SIGTERM ends the role within a second, whatever a client of /metrics does.
const DRAIN: Duration = Duration::from_millis(500);
/// Polls of `--once` after which a plan is carried out: the first plan may find that the server cannot reload in place, so
/// that the second one replaces adapters.
const MAX_PLANS_ONCE: usize = 2;

/// Why the role does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    /// No valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// The certificates for `https` model servers.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The metrics server.
    #[error(transparent)]
    Serving(#[from] ServingError),
}

/// How a run without an error ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// With the result of the mode.
    Succeeded,
    /// Without it. The reason is on standard error.
    Failed,
}

/// What the metrics server serves.
struct Metrics {
    state: watch::Receiver<LoraState>,
    ready_when: ReadyWhen,
}

/// Runs the role until `shutdown`, or until its mode has a result. A `reload` reads the configuration file and the
/// certificates at once.
///
/// # Errors
/// The configuration, certificates or the address of the metrics server cannot be used.
pub async fn run(
    args: LoraArgs,
    shutdown: impl Future<Output = ()> + Send,
    reload: Reload,
) -> Result<Completion, LoraError> {
    if let Some(path) = &args.check {
        return Ok(check(path).await?);
    }
    let client = client(&args)?;
    let (snapshots, state) = watch::channel(LoraState::default());
    let settings = Settings {
        api: args.lora_api.configured(),
        concurrency: args.concurrency.into(),
        intervals: intervals(&args),
    };
    let reconciler = Reconciler::new(client, settings, snapshots);
    if args.dry_run || args.once {
        let result = async {
            let parsed = config_file::read(&args.config).await?;
            let reconciler = reconciler.with_config(parsed);
            Ok(match args.dry_run {
                true => dry_run(reconciler).await,
                false => once(reconciler, settings.intervals).await,
            })
        };
        return tokio::select! {
            result = result => result,
            () = shutdown => Ok(Completion::Failed),
        };
    }
    let limits = Limits {
        drain_timeout: DRAIN,
        ..Limits::default()
    };
    let server = serving::bind(args.listen(), args.auth_mode(), &args.serve, limits, reload.clone()).await?;
    let (updates_tx, updates) = mpsc::channel(1);
    let _watch = AbortOnDropHandle::new(tokio::spawn(config_file::watch(
        args.config.clone(),
        reload,
        updates_tx,
    )));
    let shutdown = shutdown.shared();
    let metrics = Arc::new(Metrics {
        state,
        ready_when: args.ready_when,
    });
    let serving = async {
        server.run(metrics, shutdown.clone()).await;
        Ok(())
    };
    tokio::try_join!(serving, reconciler.run(updates, shutdown.clone()))?;
    Ok(Completion::Succeeded)
}

fn client(args: &LoraArgs) -> Result<Client, LoraError> {
    let token = match (&args.server_token, &args.server_token_file) {
        (Some(token), _) => Some(BearerToken::Value(Arc::from(token.as_str()))),
        (None, Some(path)) => Some(BearerToken::File(path.clone())),
        (None, None) => None,
    };
    let timeouts = Timeouts {
        poll: args.request_timeout,
        operation: args.load_timeout,
    };
    let tls = tls::client_config(args.ca_file.as_deref())?;
    Ok(Client::new(tls, token, timeouts))
}

fn intervals(args: &LoraArgs) -> Intervals {
    Intervals {
        reachable: args.reconcile_trigger,
        unreachable: args.health_check_interval,
        startup_timeout: args.health_check_timeout,
    }
}

async fn check(path: &Path) -> Result<Completion, ConfigFileError> {
    let Parsed { config, warnings } = config_file::read(path).await?;
    let path = path.display();
    for warning in warnings {
        println!("warning: configuration {path}: {warning}");
    }
    println!(
        "configuration {path}: valid: model server {}, adapters: {} to load, {} to unload, {} in both lists",
        addresses(&config.servers),
        config.desired.len(),
        config.excluded.len(),
        config.conflicts.len(),
    );
    Ok(Completion::Succeeded)
}

async fn dry_run(mut reconciler: Reconciler) -> Completion {
    reconciler.poll_once().await;
    let state = reconciler.state();
    let mut completion = Completion::Succeeded;
    let several = state.polls().count() > 1;
    for (server, poll) in state.polls() {
        if let Some(Err(error)) = poll {
            let name = if several { format!(" {server}") } else { String::new() };
            eprintln!("error: model server{name} cannot be polled: {error}");
            completion = Completion::Failed;
            continue;
        }
        let prefix = if several { format!("{server}: ") } else { String::new() };
        let actions = state.plan(server, Instant::now().into_std());
        if actions.is_empty() {
            println!("{prefix}nothing to do");
        }
        for action in actions {
            println!("{prefix}{action}");
        }
    }
    completion
}

async fn once(mut reconciler: Reconciler, intervals: Intervals) -> Completion {
    let deadline = Instant::now() + intervals.startup_timeout;
    reconciler.poll_once().await;
    while !reconciler.state().polls().all(|(_, poll)| matches!(poll, Some(Ok(())))) && Instant::now() < deadline {
        tokio::time::sleep(intervals.unreachable).await;
        reconciler.poll_once().await;
    }
    for _ in 0..MAX_PLANS_ONCE {
        reconciler.carry_out_plans().await;
        reconciler.poll_once().await;
    }
    let state = reconciler.state();
    for status in state.statuses() {
        println!("{}", StatusLine(&status));
    }
    match state.ready() {
        Ok(()) => Completion::Succeeded,
        Err(error) => {
            eprintln!("error: {error}");
            Completion::Failed
        }
    }
}

/// As in `sql: load_failed: 404 no adapter at /adapters/sql`.
struct StatusLine<'a>(&'a AdapterStatus);

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status) = self;
        write!(f, "{}: {}", status.id, status.reason.as_str())?;
        if status.loaded && status.reason != Reason::Loaded {
            f.write_str(" (loaded)")?;
        }
        match &status.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

// === impl LoraError ===

impl LoraError {
    /// Whether arguments, the configuration or a file they refer to must be changed.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Serving(ServingError::Serve(_)))
    }
}

// === impl Metrics ===

impl Pages for Metrics {
    fn families(&self) -> Vec<Family> {
        self.state.borrow().clone().families()
    }

    fn ready(&self) -> Result<(), String> {
        let state = self.state.borrow();
        match self.ready_when {
            ReadyWhen::Loaded => state.ready(),
            ReadyWhen::Configured if state.config().is_some() => Ok(()),
            ReadyWhen::Configured => Err("no valid configuration yet".to_owned()),
        }
    }
}
