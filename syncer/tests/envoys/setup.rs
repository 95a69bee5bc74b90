//! [`Setup`], a model server and a pod, with Envoys, requests and observers for them.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic on failure")]

use std::net::SocketAddr;

use futures::future::join_all;
use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT, STREAM, tiny_admitted};
use infertally_harness::client;
use infertally_harness::envoy::{Binaries, Envoy, Ports};
use infertally_harness::page::{Load, small};
use infertally_harness::{Behaviour, Pod};
use infertally_oracle::{Completion, Expected, Facts, read};
use infertally_sim::{Sim, SimConfig};

use crate::observer::Observer;

/// The requests of a round, which are sent concurrently. They have 3 or 10 prompt tokens and 4 or 12 completion tokens.
const ROUND: [&[u8]; 3] = [
    PROMPT,
    STREAM,
    br#"{"model":"tiny","prompt":"a b c d e f g h i j","max_tokens":12}"#,
];
/// Two workers, so that pages are rendered while counters rise.
const WORKERS: u64 = 2;
/// The pod's gauge, which must be served regardless of the Envoys.
pub const QUEUE: &str = "inference_pool_average_queue_size{name=\"default\"} 3";

/// A model server behind the Envoys, and a pool of one pod.
pub struct Setup {
    sim: Sim,
    pod: Pod,
}

/// The metrics that exactly these exchanges must produce.
pub fn expected<'a>(readings: impl IntoIterator<Item = &'a Facts>) -> Expected {
    let mut expected = Expected::admitting(WORKERS, ["tiny"]);
    for reading in readings {
        expected.add(reading);
    }
    expected
}

/// Sends rounds of requests, one after another.
pub async fn send(envoy: &Envoy, rounds: usize) -> Vec<Facts> {
    let mut readings = Vec::new();
    for _ in 0..rounds {
        let round = ROUND.map(|body| async move {
            let request = client::request("POST", COMPLETIONS, &[], body);
            let timed = client::exchange(envoy.listener(), &request, usize::MAX).await.unwrap();
            read(COMPLETIONS, body, &timed.response, Completion::Complete).unwrap()
        });
        readings.extend(join_all(round).await);
    }
    readings
}

// === impl Setup ===

impl Setup {
    pub async fn start() -> Self {
        let load = Load {
            waiting: 3.0,
            running: 1.0,
            kv_cache: 0.5,
        };
        Self {
            sim: Sim::start(SimConfig::default()).await.unwrap(),
            pod: Pod::start(Behaviour::Page(small(load))).await.unwrap(),
        }
    }

    pub async fn envoy(&self) -> Envoy {
        Envoy::start(&Binaries::from_env().unwrap(), self.sim.addr(), WORKERS, tiny_admitted)
            .await
            .unwrap()
    }

    /// Kills an Envoy and starts another at the same addresses.
    pub async fn restart(&self, envoy: Envoy) -> Envoy {
        let ports = envoy.ports();
        drop(envoy);
        self.envoy_on(ports).await
    }

    pub async fn envoy_on(&self, ports: Ports) -> Envoy {
        let binaries = Binaries::from_env().unwrap();
        Envoy::start_on(&binaries, ports, WORKERS, tiny_admitted).await.unwrap()
    }

    /// Starts a syncer that scrapes these Envoys and the pod, and a Prometheus that scrapes the syncer.
    pub async fn observe(&self, envoys: &[SocketAddr]) -> Observer {
        Observer::start(self.pod.target("pod"), envoys).await
    }
}
