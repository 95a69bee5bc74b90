//! The parser beside Go's on the same pages: `expfmt`, which Go programs use, and `textparse`, which Prometheus scrapes
//! with. Both sides take turns, so that other work on the machine hits both. Run it with `scripts/bench.sh parsers`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and cannot continue without its page"
)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use infertally_syncer::engine::{self, EngineOptions};
use infertally_syncer::exposition::{self, Format};

/// Measure the parser beside Go's
#[derive(Parser)]
struct Args {
    /// The program of tests/bench/go-parsers
    #[arg(long, value_name = "FILE")]
    go: PathBuf,
    /// Rounds; each parser has one turn per round and page
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Duration of a turn, such as 100ms
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    turn: Duration,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Captured responses of model servers and Envoy, below tests/fixtures.
const PAGES: [(&str, &str); 3] = [
    ("vLLM, 62 KB", "vllm-0.32.0/metrics_lora_after.resp"),
    ("Envoy, 163 KB", "envoy-1.40.0/stats_prometheus.txt"),
    ("llama.cpp, 3 KB", "llama.cpp-0.5.0/metrics.resp"),
];

type Parse = fn(&[u8]) -> usize;

/// Ours, with the name that the table shows and the Go parser that does the same work.
const OURS: [(&str, Parse, &str); 3] = [
    ("the load of a model server", read_load, "textparse"),
    ("every sample", every_sample, "textparse"),
    ("every sample with its labels", every_label, "textparse-labels"),
];
const GO: [(&str, &str); 3] = [
    ("textparse", "textparse: every sample"),
    ("textparse-labels", "textparse: every sample with its labels"),
    ("expfmt", "expfmt: all families"),
];

/// The Go program, which measures on command.
struct Go {
    child: Child,
    commands: ChildStdin,
    results: BufReader<ChildStdout>,
}

// === impl Go ===

impl Go {
    fn start(program: &Path) -> Self {
        // One core, as ours.
        let mut child = Command::new(program)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, results) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            commands,
            results: BufReader::new(results),
        }
    }

    fn measure(&mut self, parser: &str, page: &Path, turn: Duration) -> f64 {
        writeln!(self.commands, "{parser} {} {}", page.display(), turn.as_secs_f64()).unwrap();
        let mut line = String::new();
        self.results.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn read_load(page: &[u8]) -> usize {
    let load = engine::read([page], Format::Text, &EngineOptions::default()).unwrap();
    usize::from(black_box(load).engine.is_some())
}

fn every_sample(page: &[u8]) -> usize {
    let mut found = 0;
    let each = |sample: exposition::Sample<'_>| found += usize::from(black_box(sample.value) >= 0.0);
    exposition::parse([page], Format::Text, |_| true, each).unwrap();
    found
}

fn every_label(page: &[u8]) -> usize {
    let mut found = 0;
    let each = |sample: exposition::Sample<'_>| {
        // As owned strings: Prometheus' labels are owned, too.
        let labels: Vec<(String, String)> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect();
        found += usize::from(black_box(labels).len() < 64);
    };
    exposition::parse([page], Format::Text, |_| true, each).unwrap();
    found
}

/// Nanoseconds per page.
fn measure(parse: Parse, page: &[u8], turn: Duration) -> f64 {
    let start = Instant::now();
    let mut pages = 0_u32;
    loop {
        black_box(parse(black_box(page)));
        pages += 1;
        let elapsed = start.elapsed();
        if elapsed >= turn {
            return elapsed.as_nanos() as f64 / f64::from(pages);
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let Args {
        go,
        rounds,
        turn,
        bench: _,
    } = Args::parse();
    let mut go = Go::start(&go);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("parsers-page-{}", std::process::id()));
    for (title, fixture) in PAGES {
        let response = std::fs::read(fixtures.join(fixture)).unwrap();
        let head = response.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let page = response.split_at(head.map_or(0, |head| head + 4)).1;
        std::fs::write(&file, page).unwrap();

        let mut ours: Vec<Vec<f64>> = OURS.iter().map(|_| Vec::new()).collect();
        let mut theirs: Vec<Vec<f64>> = GO.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for ((_, parse, _), values) in OURS.iter().zip(&mut ours) {
                values.push(measure(*parse, page, turn));
            }
            for ((parser, _), values) in GO.iter().zip(&mut theirs) {
                values.push(go.measure(parser, &file, turn));
            }
        }
        let theirs: Vec<f64> = theirs.iter_mut().map(|values| median(values)).collect();
        println!("{title}, µs per page");
        for ((_, name), value) in GO.iter().zip(&theirs) {
            println!("  {name:<42}{:>9.1}", value / 1e3);
        }
        for ((name, _, beside), values) in OURS.iter().zip(&mut ours) {
            let value = median(values);
            let mut same = GO.iter().zip(&theirs).filter(|((parser, _), _)| parser == beside);
            let ratio = same.next().map_or(f64::NAN, |(_, theirs)| theirs / value);
            println!(
                "  infertally: {name:<30}{:>9.1}   {ratio:.1} × as fast as {beside}",
                value / 1e3
            );
        }
    }
    _ = std::fs::remove_file(&file);
}
