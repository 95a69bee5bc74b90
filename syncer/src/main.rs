//! `infertally-syncer`: parses its arguments, runs a role, says how it ended.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use infertally_syncer::app::lora::Completion;
use infertally_syncer::cli::{Cli, LogFormat, Role};
use infertally_syncer::{app, error_chain};
use tracing_subscriber::EnvFilter;

/// `lora --once` and `--dry-run`, `check-health`: what was asked for is not so.
const EXIT_OTHERWISE: u8 = 1;
/// Usage or configuration; sysexits' EX_USAGE.
const EXIT_USAGE: u8 = 64;
/// Anything else; sysexits' EX_SOFTWARE.
const EXIT_INTERNAL: u8 = 70;
/// kube logs each of its retries; discovery says once that it fails, and once that it is well.
const DEFAULT_LOG: &str = "info,kube_client=off,kube_runtime=off";
/// Reading a thousand pods is a third of a core's work; a thread for each of a large machine's cores is only memory.
const MOST_THREADS: usize = 4;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // To standard output if it is what was asked for, else to standard error.
            _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_USAGE),
            };
        }
    };
    start_log(cli.log_format);
    let mistakes = match &cli.role {
        Role::Pool(args) => args.mistakes(),
        Role::Lora(args) => args.mistakes(),
        Role::CheckHealth(_) => Vec::new(),
    };
    for mistake in &mistakes {
        eprintln!("error: {mistake}");
    }
    if !mistakes.is_empty() {
        return ExitCode::from(EXIT_USAGE);
    }
    // A connection for each pod: the usual thousand is too few.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_INTERNAL, &error),
    };
    runtime.block_on(async {
        let shutdown = match app::shutdown() {
            Ok(shutdown) => shutdown,
            Err(error) => return fail(EXIT_INTERNAL, &error),
        };
        match cli.role {
            Role::Pool(args) => match app::pool::run(*args, shutdown).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(error.is_configuration(), &error),
            },
            Role::Lora(args) => match app::lora::run(*args, shutdown).await {
                Ok(Completion::Succeeded) => ExitCode::SUCCESS,
                Ok(Completion::Failed) => ExitCode::from(EXIT_OTHERWISE),
                Err(error) => failed(error.is_configuration(), &error),
            },
            Role::CheckHealth(args) => match app::check::run(&args).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(EXIT_OTHERWISE, &error),
            },
        }
    })
}

fn failed(is_configuration: bool, error: &dyn Error) -> ExitCode {
    fail(if is_configuration { EXIT_USAGE } else { EXIT_INTERNAL }, error)
}

fn fail(code: u8, error: &dyn Error) -> ExitCode {
    for line in error_chain(error).lines() {
        eprintln!("error: {line}");
    }
    ExitCode::from(code)
}

/// Log lines go to standard error.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
