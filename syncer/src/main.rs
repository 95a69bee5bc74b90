//! `infertally-syncer`: parses arguments, runs a role, and maps its result to an exit code.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use infertally_syncer::app::lora::Completion;
use infertally_syncer::cli::environment::{self, ServiceLink};
use infertally_syncer::cli::{LogFormat, Role};
use infertally_syncer::{app, error_chain};
use tracing_subscriber::EnvFilter;

/// `lora --once`, `lora --dry-run` and `check-health` were not successful.
const EXIT_FAILURE: u8 = 1;
/// Invalid arguments or configuration; EX_USAGE of sysexits.
const EXIT_USAGE: u8 = 64;
/// Any other error; EX_SOFTWARE of sysexits.
const EXIT_INTERNAL: u8 = 70;
/// kube logs each retry, while discovery logs when it begins to fail and when it recovers.
const DEFAULT_LOG: &str = "info,kube_client=off,kube_runtime=off";
/// Scraping a thousand pods each second takes a third of a core; more threads would only take memory.
const MAX_THREADS: usize = 4;

fn main() -> ExitCode {
    let (cli, service_links) = match environment::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version go to standard output, errors to standard error.
            _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_USAGE),
            };
        }
    };
    start_log(cli.log_format);
    for ServiceLink { name, value } in &service_links {
        tracing::warn!(
            "{name}={value} ignored: set by Kubernetes for a Service; enableServiceLinks: false prevents it"
        );
    }
    let usage_errors = match &cli.role {
        Role::Pool(args) => args.usage_errors(),
        Role::Lora(args) => args.usage_errors(),
        Role::CheckHealth(_) => Vec::new(),
    };
    for error in &usage_errors {
        eprintln!("error: {error}");
    }
    if !usage_errors.is_empty() {
        return ExitCode::from(EXIT_USAGE);
    }
    // Each pod takes a connection, and the usual soft limit is 1024.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files, continuing with the present one");
    }
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_INTERNAL, &error),
    };
    runtime.block_on(async {
        let (shutdown, reload) = match (app::shutdown(), app::reload()) {
            (Ok(shutdown), Ok(reload)) => (shutdown, reload),
            (Err(error), _) | (_, Err(error)) => return fail(EXIT_INTERNAL, &error),
        };
        match cli.role {
            Role::Pool(args) => match app::pool::run(*args, shutdown, reload).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(error.is_configuration(), &error),
            },
            Role::Lora(args) => match app::lora::run(*args, shutdown, reload).await {
                Ok(Completion::Succeeded) => ExitCode::SUCCESS,
                Ok(Completion::Failed) => ExitCode::from(EXIT_FAILURE),
                Err(error) => failed(error.is_configuration(), &error),
            },
            Role::CheckHealth(args) => match app::check::run(&args).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(EXIT_FAILURE, &error),
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

/// Logs to standard error.
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
