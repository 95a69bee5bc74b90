//! The syncer and Prometheus, and what Prometheus computes, series by series.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails it")]

use std::net::SocketAddr;
use std::process::Command;

use infertally_filter::metrics::{Kind, METRICS};
use infertally_harness::ports::Port;
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{Prometheus, Syncer};
use infertally_harness::{Result, eventually};
use infertally_oracle::Expected;
use serde_json::Value as Json;

/// Quick, but with room for a machine that is busy: a value stands for ten intervals.
const PACE: [&str; 6] = [
    "--scrape-interval",
    "200ms",
    "--scrape-timeout",
    "190ms",
    "--stale-after",
    "2s",
];
/// Several scrapes of the syncer's and of Prometheus'.
const REST_MS: i64 = 1_000;

/// The syncer and Prometheus. The syncer may be taken away and come back at the same address.
pub struct Watched {
    pub syncer: Option<Syncer>,
    pub prometheus: Prometheus,
    port: Port,
    target: String,
}

/// A time between two of Prometheus' samples, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub from: i64,
    pub to: i64,
}

async fn start_syncer(listen: SocketAddr, target: &str, envoys: &[SocketAddr]) -> Result<Syncer> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infertally-syncer"));
    command.args(["pool", "--listen", &listen.to_string(), "--target", target]);
    command.args(PACE);
    for envoy in envoys {
        command.arg("--envoy").arg(format!("http://{envoy}"));
    }
    Syncer::start(&mut command).await
}

// === impl Watched ===

impl Watched {
    pub async fn start(target: String, envoys: &[SocketAddr]) -> Self {
        let port = Port::reserve().unwrap();
        let syncer = start_syncer(port.address(), &target, envoys).await.unwrap();
        Self {
            syncer: Some(syncer),
            prometheus: Prometheus::scraping(port.address()).await.unwrap(),
            port,
            target,
        }
    }

    pub fn syncer(&self) -> &Syncer {
        self.syncer.as_ref().unwrap()
    }

    /// Starts the syncer where it was.
    pub async fn start_syncer(&mut self, envoys: &[SocketAddr]) {
        let syncer = start_syncer(self.port.address(), &self.target, envoys).await;
        self.syncer = Some(syncer.unwrap());
    }

    /// Waits until the series stand at what was sent, and says when Prometheus sampled that.
    pub async fn stand(&self, at: &Expected) -> i64 {
        self.at_rest(async |now| Ok(at.check(&self.computed(None, now).await?)?))
            .await
    }

    /// Waits until the series have risen since then by what was sent.
    pub async fn rose(&self, from: i64, by: &Expected) -> Window {
        let to = self
            .at_rest(async |now| Ok(by.check(&self.computed(Some(from), now).await?)?))
            .await;
        Window { from, to }
    }

    /// The one value that an expression has over a window, which is `[w]` in it.
    pub async fn value(&self, expression: &str, window: Window) -> f64 {
        let found = self.values(expression, window).await;
        let [(_, value)] = found[..] else {
            panic!("{expression}: {found:?}")
        };
        value
    }

    /// The same where it has several.
    pub async fn values(&self, expression: &str, Window { from, to }: Window) -> Vec<(Json, f64)> {
        let expression = expression.replace("[w]", &range(from, to));
        self.prometheus.query(&expression).await.unwrap()
    }

    /// No counter of any series has fallen.
    pub async fn never_fell(&self, window: Window) {
        for (name, _) in names().filter(|(_, rises)| *rises) {
            for (series, resets) in self.values(&format!("resets({name}[w])"), window).await {
                assert_eq!(resets, 0.0, "{name}{series}");
            }
        }
    }

    /// Waits until it is so at Prometheus' last sample, and still so at one a while later: all of an exchange has been
    /// read then, its time too, and nothing more has come.
    async fn at_rest(&self, check: impl AsyncFn(i64) -> Result<()>) -> i64 {
        let first = self.sampled(0, &check).await;
        self.sampled(first + REST_MS, &check).await
    }

    /// Waits until it is so at Prometheus' last sample, which must not be older than this.
    async fn sampled(&self, oldest: i64, check: impl AsyncFn(i64) -> Result<()>) -> i64 {
        let sampled = eventually(async || {
            // The syncer's page always has this one, and all series of a page are sampled at the same time.
            let last = self.prometheus.query("timestamp(inference_pool_ready_pods)").await?;
            let [(_, seconds)] = last[..] else {
                return Err(format!("no sample: {last:?}").into());
            };
            let now = (seconds * 1000.0).round() as i64;
            if now < oldest {
                return Err("no sample since".into());
            }
            check(now).await?;
            Ok(now)
        });
        sampled.await.unwrap()
    }

    /// What Prometheus computes of all the filter's series, the Envoys added up: their values at a time, or by how much the
    /// counters rose until then.
    async fn computed(&self, from: Option<i64>, to: i64) -> Result<Stats> {
        let mut stats = Stats::new();
        for (name, rises) in names() {
            let from = from.filter(|_| rises);
            let series = match from {
                Some(from) => format!("increase({name}{})", range(from, to)),
                None => format!("{name} @ {}", seconds(to)),
            };
            let sum = format!("sum without (envoy, instance, job) ({series})");
            for (labels, value) in self.prometheus.query(&sum).await? {
                let value = from.map_or(value, |from| not_extrapolated(value, to - from));
                let labels = labels.as_object().into_iter().flatten();
                let labels: Vec<_> = labels
                    .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                    .collect();
                put(&mut stats, Series::new(&name, &labels), value)?;
            }
        }
        Ok(stats)
    }
}

/// Adds a series. A sum of seconds stands here as an Envoy has it: in whole seconds, and exactly in the counter of
/// microseconds beside it.
fn put(stats: &mut Stats, series: Series, value: f64) -> Result<()> {
    if let Some(stem) = series.name.strip_suffix("_seconds_sum") {
        let exact = Series {
            name: format!("{stem}_microseconds_total"),
            ..series.clone()
        };
        stats.insert(exact, (value * 1e6).round() as u64);
        stats.insert(series, value.floor() as u64);
        return Ok(());
    }
    // A counter that began at 0 is not extrapolated, and so has lost a thousandth here.
    if (value - value.round()).abs() > 0.1 {
        return Err(format!("{series}: {value}").into());
    }
    stats.insert(series, value.round() as u64);
    Ok(())
}

/// The names of the filter's series, and whether they only rise. Labels that say what was built are no matter here.
fn names() -> impl Iterator<Item = (String, bool)> {
    let metrics = METRICS.iter().filter(|metric| !metric.name.ends_with("_info"));
    metrics.flat_map(|metric| {
        let (suffixes, rises): (&[_], _) = match metric.kind {
            Kind::Counter => (&[""], true),
            Kind::Gauge => (&[""], false),
            Kind::Histogram { .. } => (&["_bucket", "_sum", "_count"], true),
        };
        suffixes
            .iter()
            .map(move |suffix| (format!("{}{suffix}", metric.name), rises))
    })
}

/// A range that holds the samples at both of its ends. It is a millisecond longer, since before version 3 Prometheus
/// counts a sample at a range's very beginning, and from then on it does not.
fn range(from: i64, to: i64) -> String {
    format!("[{}ms] @ {}", to - from + 1, seconds(to))
}

/// Takes out of an increase what Prometheus has put in for that millisecond.
fn not_extrapolated(increase: f64, window_ms: i64) -> f64 {
    let window = window_ms as f64;
    increase * window / (window + 1.0)
}

fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}
