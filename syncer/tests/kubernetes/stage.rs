//! Discovery on a mock API server, and what it has told so far. Time is paused: waits take as long as they say, at once.

use std::time::Duration;

use infertally_syncer::discovery::kubernetes::{PoolRef, watch};
use infertally_syncer::discovery::{Discovered, Target};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{sleep, timeout};

use crate::api::{Api, Kind};

/// Longer than any of discovery's own times.
const LONG: Duration = Duration::from_secs(300);

pub struct Stage {
    pub api: Api,
    told: Receiver<Discovered>,
}

// === impl Stage ===

impl Stage {
    /// Discovery of the pool `chat` in the mock's namespace.
    pub fn start(api: &Api) -> Self {
        let (out, told) = channel(16);
        let pool: PoolRef = "chat".parse().unwrap();
        tokio::spawn(watch(api.client(), pool, out));
        Self { api: api.clone(), told }
    }

    /// With a pool of version `v1` and these pods, which are ready, already told, and all watches standing.
    pub async fn with_pods(pods: &[&str]) -> Self {
        let api = Api::serving(&[Kind::PoolV1]);
        api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
        for (pod, last) in pods.iter().zip(1..) {
            api.put(Kind::Pod, pod, ready_pod("vllm", last));
        }
        let mut stage = Self::start(&api);
        assert_eq!(stage.names().await, pods);
        stage.settle().await;
        stage.api.requests();
        stage
    }

    /// Until the watches stand.
    pub async fn settle(&self) {
        sleep(Duration::from_secs(5)).await;
    }

    pub async fn next(&mut self) -> Discovered {
        timeout(LONG, self.told.recv())
            .await
            .expect("something is told")
            .expect("discovery goes on")
    }

    pub async fn targets(&mut self) -> Vec<Target> {
        match self.next().await {
            Discovered::Targets(targets) => targets,
            Discovered::Failing { why } => panic!("failing: {why}"),
        }
    }

    /// The names of the next targets, with a `!` for those that are not ready.
    pub async fn names(&mut self) -> Vec<String> {
        let name = |target: &Target| match target.ready {
            Some(true) => target.name.to_string(),
            _ => format!("!{}", target.name),
        };
        self.targets().await.iter().map(name).collect()
    }

    pub async fn failing(&mut self) -> String {
        match self.next().await {
            Discovered::Failing { why } => why,
            Discovered::Targets(targets) => panic!("targets: {targets:?}"),
        }
    }

    /// Nothing is told for a long time.
    pub async fn quiet(&mut self) {
        sleep(LONG).await;
        assert_eq!(self.told.try_recv().ok(), None);
    }
}

pub fn pool_v1(app: &str, ports: &[u16]) -> Value {
    let ports: Vec<_> = ports.iter().map(|port| json!({ "number": port })).collect();
    json!({"spec": {"selector": {"matchLabels": {"app": app}}, "targetPorts": ports}})
}

pub fn pool_v1alpha2(app: &str, port: u16) -> Value {
    json!({"spec": {"selector": {"app": app}, "targetPortNumber": port}})
}

/// A pod with the address `10.0.0.LAST`.
pub fn pod(app: &str, last: u8, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({
        "metadata": {"labels": {"app": app}},
        "status": {
            "phase": "Running",
            "podIP": format!("10.0.0.{last}"),
            "conditions": [{"type": "Ready", "status": status}],
        },
    })
}

pub fn ready_pod(app: &str, last: u8) -> Value {
    pod(app, last, true)
}
