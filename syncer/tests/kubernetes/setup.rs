//! [`Setup`], discovery against a mock API server. Time is paused, so waits take no real time.

use std::time::Duration;

use infertally_syncer::discovery::kubernetes::{MetricsEndpoint, PoolRef, RoleLabels, watch, watch_service};
use infertally_syncer::target::{Discovered, PoolId, Target};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{sleep, timeout};

use crate::api::{Api, Kind, NAMESPACE};

/// Longer than any of discovery's timeouts and delays.
const LONG: Duration = Duration::from_secs(300);

pub struct Setup {
    pub api: Api,
    updates: Receiver<(PoolId, Discovered)>,
}

// === impl Setup ===

impl Setup {
    /// Starts discovery of the pool `chat` in the mock's namespace.
    pub fn start(api: &Api) -> Self {
        Self::follow(api, "chat")
    }

    /// Starts discovery of these pools.
    pub fn follow(api: &Api, pools: &str) -> Self {
        let (out, updates) = channel(16);
        let pool: PoolRef = pools.parse().unwrap();
        let (endpoint, roles) = (MetricsEndpoint::default(), RoleLabels::default());
        tokio::spawn(watch(api.client(), pool, endpoint, roles, out));
        Self {
            api: api.clone(),
            updates,
        }
    }

    /// Starts discovery of the endpoints of a Service, as `--envoy-service` has it.
    pub fn of_service(api: &Api, service: &str) -> Self {
        let (out, mut service_updates) = channel(16);
        tokio::spawn(watch_service(api.client(), service.parse().unwrap(), out));
        let (out, updates) = channel(16);
        tokio::spawn(async move {
            while let Some(update) = service_updates.recv().await {
                // The pool that the other helpers expect.
                out.send((PoolId::new(NAMESPACE, "chat"), update)).await.unwrap();
            }
        });
        Self {
            api: api.clone(),
            updates,
        }
    }

    /// Starts discovery of a `v1` pool with these pods, all ready, and waits until they are discovered and watched.
    pub async fn with_pods(pods: &[&str]) -> Self {
        let api = Api::serving(&[Kind::PoolV1]);
        api.put(Kind::PoolV1, "chat", pool_v1("vllm", &[8000]));
        for (pod, last) in pods.iter().zip(1..) {
            api.put(Kind::Pod, pod, ready_pod("vllm", last));
        }
        let mut setup = Self::start(&api);
        assert_eq!(setup.names().await, pods);
        setup.settle().await;
        setup.api.requests();
        setup
    }

    /// Waits until all watches are established.
    pub async fn settle(&self) {
        sleep(Duration::from_secs(5)).await;
    }

    /// The next update, and the pool that it concerns.
    pub async fn next_of_any(&mut self) -> (String, Discovered) {
        let (pool, update) = timeout(LONG, self.updates.recv())
            .await
            .expect("an update in time")
            .expect("discovery is running");
        (pool.to_string(), update)
    }

    pub async fn next(&mut self) -> Discovered {
        let (pool, update) = self.next_of_any().await;
        assert_eq!(pool, "inference/chat");
        update
    }

    pub async fn targets(&mut self) -> Vec<Target> {
        match self.next().await {
            Discovered::Targets(targets) => targets,
            other => panic!("{other:?}"),
        }
    }

    /// The names of the next targets, with a `!` before those that are not ready.
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
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that there is no update for a long time.
    pub async fn assert_quiet(&mut self) {
        sleep(LONG).await;
        assert_eq!(self.updates.try_recv().ok(), None);
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
