//! Prometheus with the shipped configuration, and its alerts.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use infertally_harness::Prometheus;
use infertally_harness::{Result, eventually};
use infertally_rules::shipped::{self, replace};
use infertally_rules::speedup::speed_up;
use tokio::time::Instant;

/// The factor by which durations are shorter.
const SPEEDUP: u32 = 100;
/// How long no alert may be pending: longer than the longest `for`, except for alerts with a range of 15 minutes.
const QUIET: Duration = Duration::from_secs(7);
/// Thresholds in seconds, which shrink with the durations.
const SECONDS: [[&str; 2]; 2] = [
    [
        "_duration_seconds_bucket[5m])) > 10.0",
        "_duration_seconds_bucket[5m])) > 1.0",
    ],
    ["_discovery_age_seconds) > 60", "_discovery_age_seconds) > 0.6"],
];
/// The labels that identify the subject of an alert; the first one present counts.
const SUBJECT: [&str; 5] = ["model_name", "adapter_name", "name", "envoy", "instance"];

/// The targets that Prometheus scrapes.
#[derive(Clone)]
pub struct Targets {
    pub syncers: Vec<SocketAddr>,
    pub envoys: Vec<SocketAddr>,
    pub sidecars: Vec<SocketAddr>,
}

pub struct Monitoring {
    pub targets: Targets,
    prometheus: Prometheus,
    /// The names of the previous alerts, which may not have resolved yet.
    previous: BTreeSet<String>,
    seen: BTreeSet<String>,
}

// === impl Targets ===

impl Targets {
    pub fn all(&self) -> impl Iterator<Item = &SocketAddr> {
        self.syncers.iter().chain(&self.envoys).chain(&self.sidecars)
    }
}

/// The shipped configuration with these targets, with intervals as short as Prometheus' timeouts allow on a busy machine.
fn config(targets: &Targets) -> Result<String> {
    let list = |addresses: &[SocketAddr]| {
        addresses
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut config = shipped::text("prometheus.yaml")?;
    for (old, new) in [
        ("syncer.example:9090", list(&targets.syncers)),
        ("envoy.example:9902", list(&targets.envoys)),
        ("vllm.example:8080", list(&targets.sidecars)),
        (
            "scrape_interval: 15s",
            "scrape_interval: 1s\n  scrape_timeout: 1s".to_owned(),
        ),
        ("evaluation_interval: 15s", "evaluation_interval: 250ms".to_owned()),
    ] {
        config = replace(&config, old, &new)?;
    }
    Ok(config)
}

/// The shipped rules with shorter durations.
fn rules() -> Result<String> {
    let mut text = shipped::text("alerts.yaml")?;
    for [old, new] in SECONDS {
        text = replace(&text, old, new)?;
    }
    speed_up(serde_saphyr::from_str(&text)?, SPEEDUP)
}

// === impl Monitoring ===

impl Monitoring {
    /// Starts Prometheus and waits until every target is up.
    pub async fn start(targets: Targets) -> Self {
        let (config, rules) = (config(&targets).unwrap(), rules().unwrap());
        let prometheus = Prometheus::start(&config, &[("alerts.yaml", &rules)]).await;
        let monitoring = Self {
            targets,
            prometheus: prometheus.unwrap(),
            previous: BTreeSet::new(),
            seen: BTreeSet::new(),
        };
        let all = monitoring.targets.all().count();
        let up = eventually(async || {
            let up = monitoring.prometheus.query("sum(up)").await?;
            match up[..] {
                [(_, count)] if count == all as f64 => Ok(()),
                _ => Err(format!("{up:?} of {all} targets are up").into()),
            }
        });
        up.await.unwrap();
        monitoring
    }

    /// Waits until no alert is pending, and checks that none becomes pending for [`QUIET`].
    pub async fn stays_quiet(&mut self) {
        eventually(async || none(&self.now("").await?)).await.unwrap();
        let since = Instant::now();
        let quiet = eventually(async || {
            none(&self.seen_since(since).await?).unwrap();
            if since.elapsed() < QUIET {
                Err("not quiet for long enough".into())
            } else {
                Ok(())
            }
        });
        quiet.await.unwrap();
        self.every_rule_evaluates().await;
    }

    /// Waits until exactly these alerts fire, and checks that meanwhile no others were pending except the previous ones.
    pub async fn fires(&mut self, expected: &[String]) {
        let since = Instant::now();
        let expected: BTreeSet<_> = expected.iter().cloned().collect();
        let names: BTreeSet<_> = expected.iter().map(|alert| name_of(alert)).collect();
        let fire = eventually(async || {
            let firing = self.now("alertstate=\"firing\"").await?;
            if firing == expected {
                Ok(())
            } else {
                Err(format!("{firing:?} fire, not {expected:?}").into())
            }
        });
        fire.await.unwrap();
        let seen: BTreeSet<_> = self
            .seen_since(since)
            .await
            .unwrap()
            .iter()
            .map(|alert| name_of(alert))
            .collect();
        let allowed = &names | &self.previous;
        assert!(
            seen.is_subset(&allowed),
            "{seen:?} were pending, allowed are {allowed:?}"
        );
        self.every_rule_evaluates().await;
        println!("{:?}: {expected:?}", since.elapsed());
        self.seen.extend(names.clone());
        self.previous = names;
    }

    /// Checks that every shipped alert has fired.
    pub fn saw_every_alert(&self) {
        let shipped: BTreeSet<_> = shipped::rules("alerts.yaml")
            .unwrap()
            .into_iter()
            .map(|rule| rule.name)
            .collect();
        assert_eq!(self.seen, shipped);
    }

    /// The current alerts, each with its subject.
    async fn now(&self, selector: &str) -> Result<BTreeSet<String>> {
        self.alerts(&format!("ALERTS{{{selector}}}")).await
    }

    /// The alerts that were pending or firing at any evaluation since then.
    async fn seen_since(&self, since: Instant) -> Result<BTreeSet<String>> {
        let range = since.elapsed().as_millis().max(1);
        self.alerts(&format!("count_over_time(ALERTS[{range}ms])")).await
    }

    async fn alerts(&self, expression: &str) -> Result<BTreeSet<String>> {
        let alerts = self.prometheus.query(expression).await?;
        let alerts = alerts.iter().map(|(labels, _)| {
            let subject = SUBJECT.iter().find_map(|label| labels[label].as_str());
            let name = labels["alertname"].as_str().unwrap();
            format!("{name} {}", subject.unwrap_or_default()).trim_end().to_owned()
        });
        Ok(alerts.collect())
    }

    async fn every_rule_evaluates(&self) {
        let groups = self.prometheus.api("/api/v1/rules").await.unwrap();
        let groups = groups["groups"].as_array().unwrap();
        let rules: Vec<_> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert_eq!(rules.len(), shipped::rules("alerts.yaml").unwrap().len());
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{}: {}", rule["name"], rule["lastError"]);
        }
    }
}

fn name_of(alert: &str) -> String {
    alert.split(' ').next().unwrap_or_default().to_owned()
}

fn none(alerts: &BTreeSet<String>) -> Result<()> {
    if alerts.is_empty() {
        Ok(())
    } else {
        Err(format!("{alerts:?}").into())
    }
}
