//! The pool's averages at each step of a rollout: the table that the recording rules are tested with, too.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scenario::Scenario;
use crate::engine::ServerLoad;
use crate::exposition::Value;
use crate::scrape_status::Reason;
use crate::target::Target;

const TABLE: &str = include_str!("../../../../tests/fixtures/pool/rollouts.json");

#[derive(Deserialize)]
struct Rollout {
    scenario: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    pods: BTreeMap<String, PodAtStep>,
    expected: Averages,
    roles: BTreeMap<String, Averages>,
}

#[derive(Deserialize)]
struct PodAtStep {
    condition: String,
    terminating: bool,
    responds: bool,
    role: Option<String>,
    queue: Option<f64>,
    running: Option<f64>,
    kv_cache: Option<f64>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Averages {
    ready_pods: Option<f64>,
    queue: Option<f64>,
    running: Option<f64>,
    kv_cache: Option<f64>,
    saturation: Option<f64>,
}

impl PodAtStep {
    fn target(&self, name: &str) -> Target {
        Target {
            ready: Some(self.condition == "True" && !self.terminating),
            role: self.role.as_ref().map(|role| role.parse().unwrap()),
            ..format!("{name}=http://{name}:8000").parse().unwrap()
        }
    }

    fn scrape(&self) -> Result<ServerLoad, Reason> {
        self.responds
            .then(|| ServerLoad {
                waiting: self.queue,
                running: self.running,
                kv_cache: self.kv_cache,
                ..ServerLoad::default()
            })
            .ok_or(Reason::Timeout)
    }
}

/// Both are absent, or equal but for rounding.
#[track_caller]
fn assert_equal(found: &Averages, expected: &Averages, step: &str) {
    let values = |averages: &Averages| {
        let Averages {
            ready_pods,
            queue,
            running,
            kv_cache,
            saturation,
        } = *averages;
        [ready_pods, queue, running, kv_cache, saturation]
    };
    let equal = values(found).into_iter().zip(values(expected)).all(|pair| match pair {
        (Some(found), Some(expected)) => (found - expected).abs() <= 1e-12,
        (found, expected) => found == expected,
    });
    assert!(equal, "{step}: {found:?}, not {expected:?}");
}

/// The averages on the page, of the whole pool or of one role.
fn averages(scenario: &Scenario, role: Option<&str>) -> Averages {
    let families = scenario.pool.families(scenario.now());
    let value = |name: &str| {
        let name = format!("inference_pool_{}{name}", role.map_or("", |_| "role_"));
        let family = families.iter().find(|family| family.name == name)?;
        let mut series = family.series.iter().filter(|series| {
            let label = series.labels.iter().find(|(name, _)| *name == "role");
            label.map(|(_, value)| &**value) == role
        });
        match series.next()?.value {
            Value::Float(value) => Some(value),
            _ => panic!("{name} is not a gauge"),
        }
    };
    Averages {
        ready_pods: value("ready_pods"),
        queue: value("average_queue_size"),
        running: value("average_running_requests"),
        kv_cache: value("average_kv_cache_utilization"),
        saturation: value("saturation"),
    }
}

#[test]
fn averages_are_those_of_the_ready_pods_at_every_step() {
    let rollouts: Vec<Rollout> = serde_json::from_str(TABLE).unwrap();
    assert!(rollouts.len() > 4);
    for Rollout { scenario: title, steps } in rollouts {
        let mut scenario = Scenario::new();
        for (at, step) in (0..).step_by(10_000).zip(steps) {
            let targets: Vec<_> = step.pods.iter().map(|(name, pod)| pod.target(name)).collect();
            scenario.at(at).discovered(&targets);
            for (name, pod) in &step.pods {
                scenario.scraped(name, pod.scrape());
            }
            let at_step = format!("{title}: {}", step.step);
            assert_equal(&averages(&scenario, None), &step.expected, &at_step);
            for (role, expected) in &step.roles {
                let found = averages(&scenario, Some(role));
                assert_equal(&found, expected, &format!("{at_step}: {role}"));
            }
            // The pods that do not count are on the page all the same.
            for (name, pod) in &step.pods {
                let series = format!("inference_pool_per_pod_queue_size{{name=\"p\",model_server_pod=\"{name}\"");
                let shown = scenario.series().iter().any(|line| line.starts_with(&series));
                assert_eq!(
                    shown,
                    pod.responds && pod.queue.is_some(),
                    "{title}: {}: {name}",
                    step.step
                );
            }
        }
    }
}
