//! A real Prometheus that scrapes pages and evaluates queries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests panic on failure, and wait with a deadline"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use infertally_harness::ports::Port;
use serde_json::Value as Json;

use crate::pages::{self, Page};

/// Long, for busy machines; an idle one takes two seconds.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// A running Prometheus. Dropping it kills the process and removes its data.
pub struct Prometheus {
    child: Child,
    port: Port,
    directory: PathBuf,
}

/// The path in the environment variable `variable`.
pub fn program(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run 'make test', or set it to what scripts/tool.sh path prints")
    })
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts Prometheus and waits until it has scraped each page. The series of page N have the label `case="N"`.
    pub fn scraping(pages: &[Page]) -> Self {
        let target = pages::serve(pages);
        let targets: String = (0..pages.len())
            .map(|case| {
                format!(
                    "      - {{ targets: ['{target}'], labels: {{ __metrics_path__: /{case}, case: '{case}' }} }}\n"
                )
            })
            .collect();
        let job = format!("  - job_name: pages\n    scrape_interval: 1s\n    static_configs:\n{targets}");
        Self::start(&job, pages.len(), &[])
    }

    /// Starts Prometheus with these `scrape_configs` and waits until it has scraped all their targets.
    pub fn start(scrape_configs: &str, targets: usize, arguments: &[&str]) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let config = directory.join("prometheus.yml");
        fs::write(&config, format!("scrape_configs:\n{scrape_configs}")).unwrap();

        let port = Port::reserve().unwrap();
        let child = Command::new(program("PROMETHEUS"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--log.level=error")
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self { child, port, directory };
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        while prometheus.try_query("up").map_or(0, |up| up.len()) < targets {
            assert!(
                Instant::now() < deadline,
                "Prometheus has not scraped {targets} targets in {STARTUP_TIMEOUT:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        prometheus
    }

    /// The labels and value of every series of the query's result.
    pub fn query(&self, query: &str) -> Vec<(Json, String)> {
        self.try_query(query)
            .unwrap_or_else(|| panic!("Prometheus did not respond to {query}"))
    }

    fn try_query(&self, query: &str) -> Option<Vec<(Json, String)>> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut connection = TcpStream::connect(self.port.address()).ok()?;
        let head = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        connection.write_all(head.as_bytes()).ok()?;
        let mut response = String::new();
        connection.read_to_string(&mut response).ok()?;
        let response: Json = serde_json::from_str(response.split_once("\r\n\r\n")?.1).ok()?;
        let series = response["data"]["result"].as_array()?;
        Some(
            series
                .iter()
                .map(|series| {
                    (
                        series["metric"].clone(),
                        series["value"][1].as_str().unwrap().to_owned(),
                    )
                })
                .collect(),
        )
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let Self {
            child,
            port: _,
            directory,
        } = self;
        _ = child.kill();
        _ = child.wait();
        _ = fs::remove_dir_all(directory);
    }
}
