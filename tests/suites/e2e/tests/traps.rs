//! A worker whose VM traps: with the shipped policy it serves and counts again, and the gauge of running requests loses
//! what the trapped VM had added.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::path::PathBuf;
use std::time::Duration;

use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{Series, Stats};
use infertally_harness::{PATIENCE, client, eventually};
use infertally_sim::{Sim, SimConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The filter built so that a header traps its VM; see `filter/Cargo.toml`.
fn with_trap() -> Binaries {
    let wasm = std::env::var_os("INFERTALLY_TRAP_WASM").map(PathBuf::from);
    let wasm = wasm.unwrap_or_else(|| panic!("INFERTALLY_TRAP_WASM is not set: run these tests by `make test`"));
    Binaries {
        wasm,
        ..Binaries::from_env().unwrap()
    }
}

fn running(stats: &Stats) -> u64 {
    stats
        .get(&Series::new(
            "inference_model_running_requests",
            &[("model_name", "tiny")],
        ))
        .copied()
        .unwrap_or_default()
}

fn stream(behaviour: &str) -> Vec<u8> {
    let body = br#"{"model":"tiny","prompt":"a","stream":true,"max_tokens":9}"#;
    client::request("POST", "/v1/completions", &[("x-sim", behaviour)], body)
}

#[tokio::test]
async fn after_a_trap_the_worker_serves_again_and_the_gauge_heals() {
    const STREAMS: u64 = 40;
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(&with_trap(), sim.addr(), 2, Ok).await.unwrap();
    // Streams on both workers, each as long as its client's connection.
    let in_flight: Vec<_> = (0..STREAMS)
        .map(|_| {
            let listener = envoy.listener();
            tokio::spawn(
                async move { client::disconnect_after_events(listener, &stream("hang=event:3"), usize::MAX).await },
            )
        })
        .collect();
    let all_run = |stats: &Stats| match running(stats) {
        STREAMS => Ok(()),
        other => Err(format!("{other} running")),
    };
    envoy.scrape_until(all_run).await.unwrap();

    let trap = client::request("POST", "/v1/completions", &[("x-infertally-trap", "1")], b"{}");
    let response = client::exchange(envoy.listener(), &trap, usize::MAX)
        .await
        .unwrap()
        .response;
    assert_eq!(response.status, 503, "the request that traps");

    // The clients disconnect: the living VM subtracts its part at once, the trapped one's is subtracted later.
    for client in in_flight {
        client.abort();
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut last = STREAMS;
    while last > 0 {
        let now = running(&envoy.scrape().await.unwrap());
        assert!(now <= last, "the gauge rose from {last} to {now}");
        assert!(tokio::time::Instant::now() < deadline, "{now} still run");
        last = now;
        tokio::task::yield_now().await;
    }

    // The worker serves and counts again, whichever of the two it was.
    eventually(|| async {
        for _ in 0..20 {
            let response = client::exchange(envoy.listener(), &stream(""), usize::MAX)
                .await?
                .response;
            if response.status != 200 {
                return Err(format!("status {}", response.status).into());
            }
        }
        Ok(())
    })
    .await
    .unwrap();
    let successes = |stats: &Stats| {
        let labels = [
            ("model_name", "tiny"),
            ("target_model_name", "tiny"),
            ("source", "missing_not_requested"),
        ];
        stats
            .get(&Series::new("inference_model_usage_total", &labels))
            .copied()
            .unwrap_or_default()
    };
    // What the last exchanges added is published a little later: wait until it rests for longer than that.
    let before = eventually(|| async {
        let first = envoy.scrape().await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
        let second = envoy.scrape().await?;
        match successes(&first) == successes(&second) {
            true => Ok(second),
            false => Err("still rising".into()),
        }
    })
    .await
    .unwrap();
    for _ in 0..20 {
        client::exchange(envoy.listener(), &stream(""), usize::MAX)
            .await
            .unwrap();
    }
    let twenty_more = |stats: &Stats| match successes(stats) - successes(&before) {
        20 => Ok(()),
        other => Err(format!("{other} envoy of 20")),
    };
    let stats = envoy.scrape_until(twenty_more).await.unwrap();
    assert_eq!(running(&stats), 0);
}

/// Sends a signal to Envoy.
fn signal(envoy: &Envoy, name: &str) {
    let id = envoy.process_id().to_string();
    let status = std::process::Command::new("kill").args([name, &id]).status().unwrap();
    assert!(status.success());
}

/// Every lease expires while the process is stopped, and every VM wakes with all others believed dead.
/// `INFERTALLY_SLEEP_ROUNDS` sets the number of rounds.
#[tokio::test]
async fn gauge_is_exact_after_the_process_was_stopped_for_longer_than_a_lease() {
    const STREAMS: u64 = 32;
    const WORKERS: u64 = 8;
    const STOPPED: Duration = Duration::from_millis(11_500);
    let rounds = std::env::var("INFERTALLY_SLEEP_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), WORKERS, Ok)
        .await
        .unwrap();
    // Clients with more patience than the harness's.
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut client = TcpStream::connect(envoy.listener()).await.unwrap();
        client.write_all(&stream("hang=event:3")).await.unwrap();
        streams.push(client);
    }
    let all_run = |stats: &Stats| match running(stats) {
        STREAMS => Ok(()),
        other => Err(format!("{other} running")),
    };
    envoy.scrape_until(all_run).await.unwrap();
    for round in 1..=rounds {
        signal(&envoy, "-STOP");
        tokio::time::sleep(STOPPED).await;
        signal(&envoy, "-CONT");
        // Every VM has had two heartbeats by then.
        let awake = tokio::time::Instant::now() + Duration::from_secs(3);
        while tokio::time::Instant::now() < awake {
            let seen = running(&envoy.scrape().await.unwrap());
            assert!(seen <= 2 * STREAMS, "{seen} in round {round}");
        }
        envoy.scrape_until(all_run).await.unwrap();
    }
    drop(streams);
    let none_runs = |stats: &Stats| match running(stats) {
        0 => Ok(()),
        other => Err(format!("{other} running")),
    };
    envoy.scrape_until(none_runs).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(running(&envoy.scrape().await.unwrap()), 0);
}
