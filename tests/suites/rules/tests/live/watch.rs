//! Prometheus with the shipped configuration, and which alerts it has.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use infertally_harness::Prometheus;
use infertally_harness::{Result, eventually};
use infertally_rules::hurried::hurried;
use infertally_rules::shipped::{self, replace};
use tokio::time::Instant;

/// How much faster time runs.
const HURRY: u32 = 100;
/// How long it has to be quiet: longer than the longest wait of an alert but those that look back a quarter of an hour.
const QUIET: Duration = Duration::from_secs(6);
/// Thresholds that are seconds.
const SECONDS: [[&str; 2]; 2] = [
    [
        "_duration_seconds_bucket[5m])) > 10.0",
        "_duration_seconds_bucket[5m])) > 1.0",
    ],
    ["_discovery_age_seconds) > 60", "_discovery_age_seconds) > 0.6"],
];
/// Labels that say what an alert is about, the first that there is.
const SUBJECT: [&str; 5] = ["model_name", "adapter_name", "name", "envoy", "instance"];

/// What is scraped.
#[derive(Clone)]
pub struct Targets {
    pub syncers: Vec<SocketAddr>,
    pub envoys: Vec<SocketAddr>,
    pub sidecars: Vec<SocketAddr>,
}

pub struct Watch {
    pub targets: Targets,
    prometheus: Prometheus,
    /// Names of alerts that may still be there.
    before: BTreeSet<String>,
    seen: BTreeSet<String>,
}

// === impl Targets ===

impl Targets {
    pub fn all(&self) -> impl Iterator<Item = &SocketAddr> {
        self.syncers.iter().chain(&self.envoys).chain(&self.sidecars)
    }
}

/// The shipped configuration with these targets, as quick as Prometheus' own timeouts allow on a busy machine.
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

/// The shipped rules in a hurry.
fn rules() -> Result<String> {
    let mut text = shipped::text("alerts.yaml")?;
    for [old, new] in SECONDS {
        text = replace(&text, old, new)?;
    }
    hurried(serde_saphyr::from_str(&text)?, HURRY)
}

// === impl Watch ===

impl Watch {
    /// Starts it, and waits until all is scraped.
    pub async fn start(targets: Targets) -> Self {
        let (config, rules) = (config(&targets).unwrap(), rules().unwrap());
        let prometheus = Prometheus::start(&config, &[("alerts.yaml", &rules)]).await;
        let watch = Self {
            targets,
            prometheus: prometheus.unwrap(),
            before: BTreeSet::new(),
            seen: BTreeSet::new(),
        };
        let all = watch.targets.all().count();
        let up = eventually(async || {
            let up = watch.prometheus.query("sum(up)").await?;
            match up[..] {
                [(_, count)] if count == all as f64 => Ok(()),
                _ => Err(format!("{up:?} of {all} are up").into()),
            }
        });
        up.await.unwrap();
        watch
    }

    /// No alert is pending, for a while; once it is so.
    pub async fn is_quiet(&mut self) {
        eventually(async || none(&self.now("").await?)).await.unwrap();
        let since = Instant::now();
        let quiet = eventually(async || {
            none(&self.seen_since(since).await?).unwrap();
            if since.elapsed() < QUIET {
                Err("not for long".into())
            } else {
                Ok(())
            }
        });
        quiet.await.unwrap();
        self.every_rule_evaluates().await;
    }

    /// Exactly these come to fire, and in that time no others are pending but the last ones.
    pub async fn fires(&mut self, wanted: &[String]) {
        let since = Instant::now();
        let wanted: BTreeSet<_> = wanted.iter().cloned().collect();
        let names: BTreeSet<_> = wanted.iter().map(|alert| name_of(alert)).collect();
        let fire = eventually(async || {
            let firing = self.now("alertstate=\"firing\"").await?;
            if firing == wanted {
                Ok(())
            } else {
                Err(format!("{firing:?} fire, not {wanted:?}").into())
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
        let allowed = &names | &self.before;
        assert!(seen.is_subset(&allowed), "{seen:?}, and only {allowed:?} is right");
        self.every_rule_evaluates().await;
        println!("{:?}: {wanted:?}", since.elapsed());
        self.seen.extend(names.clone());
        self.before = names;
    }

    /// Nothing that is shipped was left out.
    pub fn has_seen_every_alert(&self) {
        let shipped: BTreeSet<_> = shipped::rules("alerts.yaml")
            .unwrap()
            .into_iter()
            .map(|rule| rule.name)
            .collect();
        assert_eq!(self.seen, shipped);
    }

    /// The alerts of now, each with its subject.
    async fn now(&self, selector: &str) -> Result<BTreeSet<String>> {
        self.alerts(&format!("ALERTS{{{selector}}}")).await
    }

    /// Those that were pending or fired at any evaluation.
    async fn seen_since(&self, since: Instant) -> Result<BTreeSet<String>> {
        let range = since.elapsed().as_millis().max(1);
        self.alerts(&format!("count_over_time(ALERTS[{range}ms])")).await
    }

    async fn alerts(&self, expression: &str) -> Result<BTreeSet<String>> {
        let alerts = self.prometheus.query(expression).await?;
        let told = alerts.iter().map(|(labels, _)| {
            let subject = SUBJECT.iter().find_map(|label| labels[label].as_str());
            let name = labels["alertname"].as_str().unwrap();
            format!("{name} {}", subject.unwrap_or_default()).trim_end().to_owned()
        });
        Ok(told.collect())
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
