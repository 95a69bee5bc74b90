//! [`Observer`], the syncer and a Prometheus that scrapes it, and assertions about the results of queries.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests panic on failure")]

use std::net::SocketAddr;
use std::process::Command;

use infertally_filter::metrics::{Kind, METRICS};
use infertally_harness::ports::Port;
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{Prometheus, Syncer};
use infertally_harness::{Result, eventually};
use infertally_oracle::Expected;
use serde_json::Value as Json;

/// Short, with slack for a busy machine: values become stale after ten intervals.
const PACE: [&str; 8] = [
    "--scrape-interval",
    "200ms",
    "--stale-after",
    "2s",
    "--envoy-interval",
    "200ms",
    "--envoy-stale-after",
    "2s",
];
/// Several intervals of the syncer and of Prometheus.
const SETTLE_MS: i64 = 1_000;

/// The syncer and Prometheus. The syncer can be stopped and restarted at the same address.
pub struct Observer {
    pub syncer: Option<Syncer>,
    pub prometheus: Prometheus,
    port: Port,
    target: String,
}

/// The time between two of Prometheus' samples, in milliseconds since 1970.
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

// === impl Observer ===

impl Observer {
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

    /// Starts the syncer at its previous address.
    pub async fn start_syncer(&mut self, envoys: &[SocketAddr]) {
        let syncer = start_syncer(self.port.address(), &self.target, envoys).await;
        self.syncer = Some(syncer.unwrap());
    }

    /// Waits until the series have these values, and returns the time of the sample.
    pub async fn wait_for_values(&self, values: &Expected) -> i64 {
        self.settled(async |now| Ok(values.check(&self.computed(None, now).await?)?))
            .await
    }

    /// Waits until the series have increased by this since `from`.
    pub async fn wait_for_increase(&self, from: i64, by: &Expected) -> Window {
        let to = self
            .settled(async |now| Ok(by.check(&self.computed(Some(from), now).await?)?))
            .await;
        Window { from, to }
    }

    /// The value of an expression whose result has one series. `[w]` in it is the window.
    pub async fn value(&self, expression: &str, window: Window) -> f64 {
        let series = self.values(expression, window).await;
        let [(_, value)] = series[..] else {
            panic!("{expression}: {series:?}")
        };
        value
    }

    /// The series of an expression's result. `[w]` in it is the window.
    pub async fn values(&self, expression: &str, Window { from, to }: Window) -> Vec<(Json, f64)> {
        let expression = expression.replace("[w]", &range(from, to));
        self.prometheus.query(&expression).await.unwrap()
    }

    /// Asserts that no counter has been reset.
    pub async fn assert_no_resets(&self, window: Window) {
        for (name, _) in names().filter(|(_, rises)| *rises) {
            for (series, resets) in self.values(&format!("resets({name}[w])"), window).await {
                assert_eq!(resets, 0.0, "{name}{series}");
            }
        }
    }

    /// Waits until `check` succeeds at Prometheus' last sample and again at a later one: by then complete exchanges have
    /// been scraped, and nothing else follows.
    async fn settled(&self, check: impl AsyncFn(i64) -> Result<()>) -> i64 {
        let first = self.sampled(0, &check).await;
        self.sampled(first + SETTLE_MS, &check).await
    }

    /// Waits until `check` succeeds at Prometheus' last sample, which must not be older than `oldest`.
    async fn sampled(&self, oldest: i64, check: impl AsyncFn(i64) -> Result<()>) -> i64 {
        let sampled = eventually(async || {
            // The syncer's page always has this series, and all series of a page have the same time.
            let last = self.prometheus.query("timestamp(inference_pool_ready_pods)").await?;
            let [(_, seconds)] = last[..] else {
                return Err(format!("no sample: {last:?}").into());
            };
            let now = (seconds * 1000.0).round() as i64;
            if now < oldest {
                return Err("no new sample".into());
            }
            check(now).await?;
            Ok(now)
        });
        sampled.await.unwrap()
    }

    /// All of the filter's series, summed over the Envoys: their values at a time, or the increase of counters until then.
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

/// Adds a series. A sum of seconds is added as on Envoy's page: its integer part, and the exact counter of microseconds.
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
    // Prometheus does not extrapolate a counter that began at 0, so `not_extrapolated` makes it too small by a thousandth.
    if (value - value.round()).abs() > 0.1 {
        return Err(format!("{series}: {value}").into());
    }
    stats.insert(series, value.round() as u64);
    Ok(())
}

/// The names of the filter's series, and whether they are counters. Without build information.
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

/// A range that includes the samples at both of its ends. It is a millisecond longer, because Prometheus excludes the start
/// of a range since version 3.
fn range(from: i64, to: i64) -> String {
    format!("[{}ms] @ {}", to - from + 1, seconds(to))
}

/// Reverts Prometheus' extrapolation over that millisecond.
fn not_extrapolated(increase: f64, window_ms: i64) -> f64 {
    let window = window_ms as f64;
    increase * window / (window + 1.0)
}

fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}
