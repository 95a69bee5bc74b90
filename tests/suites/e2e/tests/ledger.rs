//! When what an exchange adds is on the page: at its end while Envoy is quiet, soon after under load, all of it at once,
//! and before Envoy ends.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT, tiny_admitted};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{Stats, parse};
use infertally_harness::{client, eventually};
use infertally_oracle::totals::requests;
use infertally_sim::{Sim, SimConfig};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

/// Longer than a worker's tick, in which it publishes what it still holds.
const QUIET: Duration = Duration::from_millis(150);
/// Far longer than the 200 ms that are promised: the machine may be busy.
const GENEROUS: Duration = Duration::from_secs(2);

async fn simulated(binaries: &Binaries, workers: u64) -> (Sim, Envoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(binaries, sim.addr(), workers, tiny_admitted)
        .await
        .unwrap();
    (sim, envoy)
}

async fn post(envoy: &Envoy) {
    let request = client::request("POST", COMPLETIONS, &[], PROMPT);
    let response = client::exchange(envoy.listener(), &request, usize::MAX)
        .await
        .unwrap()
        .response;
    assert_eq!(response.status, 200);
}

fn total(stats: &Stats, name: &str) -> u64 {
    let values = stats.iter().filter(|(series, _)| series.name == name);
    values.map(|(_, value)| value).sum()
}

fn durations(stats: &Stats) -> u64 {
    total(stats, "inference_model_request_duration_seconds_count")
}

#[tokio::test]
async fn exchange_of_a_quiet_envoy_is_on_the_page_when_its_response_has_ended() {
    const ROUNDS: u64 = 20;
    let (_sim, envoy) = simulated(&Binaries::from_env().unwrap(), 1).await;
    let mut at_once = 0;
    for round in 1..=ROUNDS {
        sleep(QUIET).await;
        post(&envoy).await;
        // The client may have the last byte a few microseconds before Envoy ends the stream.
        at_once += u64::from(requests(&envoy.scrape().await.unwrap()) == round);
        let all = |stats: &Stats| match requests(stats) {
            count if count == round => Ok(()),
            count => Err(format!("{count} requests of {round}")),
        };
        envoy.scrape_until(all).await.unwrap();
    }
    assert!(at_once >= ROUNDS - 3, "{at_once} of {ROUNDS} were on the page at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_exchange_is_published_soon_and_in_one_go() {
    const CLIENTS: usize = 4;
    const LOAD: Duration = Duration::from_secs(3);
    let (_sim, envoy) = simulated(&Binaries::from_env().unwrap(), 2).await;
    let envoy = Arc::new(envoy);
    let end = Instant::now() + LOAD;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let envoy = Arc::clone(&envoy);
            tokio::spawn(async move {
                let mut ends = Vec::new();
                while Instant::now() < end {
                    post(&envoy).await;
                    ends.push(Instant::now());
                }
                ends
            })
        })
        .collect();
    let (mut pages, mut parts) = (Vec::new(), 0);
    while Instant::now() < end {
        let started = Instant::now();
        let stats = envoy.scrape().await.unwrap();
        parts += usize::from(requests(&stats) != durations(&stats));
        pages.push((started, requests(&stats)));
    }
    let mut ends = Vec::new();
    for client in clients {
        ends.extend(client.await.unwrap());
    }
    let sent = ends.len() as u64;
    let all = |stats: &Stats| match (requests(stats), durations(stats)) {
        seen if seen == (sent, sent) => Ok(()),
        seen => Err(format!("{seen:?} of {sent}")),
    };
    envoy.scrape_until(all).await.unwrap();
    for (started, seen) in &pages {
        let due = ends.iter().filter(|ended| **ended + GENEROUS < *started).count() as u64;
        assert!(*seen >= due, "{seen} on the page, {due} were due");
    }
    // Only a scrape in the very microseconds of a publishing sees a part of it.
    assert!(pages.len() >= 30, "{} scrapes", pages.len());
    assert!(
        parts * 20 <= pages.len(),
        "{parts} of {} scrapes saw a part",
        pages.len()
    );
}

#[tokio::test]
async fn draining_loses_nothing() {
    const BURST: u64 = 30;
    let (_sim, envoy) = simulated(&Binaries::from_env().unwrap(), 2).await;
    for _ in 0..BURST {
        post(&envoy).await;
    }
    let drain = client::request("POST", "/drain_listeners", &[], b"");
    client::exchange(envoy.admin(), &drain, usize::MAX).await.unwrap();
    eventually(|| async {
        let stats = parse(&client::get(envoy.admin(), "/stats/prometheus").await?)?;
        match (requests(&stats), durations(&stats)) {
            (BURST, BURST) => Ok(()),
            seen => Err(format!("{seen:?} of {BURST}").into()),
        }
    })
    .await
    .unwrap();
}

/// What a statsd server was sent for counters of the filter, by metric.
async fn receive(socket: UdpSocket, end: Arc<AtomicBool>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let mut datagram = vec![0; 65_536];
    while let Ok(Ok(size)) = timeout(Duration::from_secs(1), socket.recv(&mut datagram))
        .await
        .or_else(|elapsed| {
            if end.load(Ordering::Relaxed) {
                Err(elapsed)
            } else {
                Ok(Ok(0))
            }
        })
    {
        let text = String::from_utf8_lossy(&datagram[..size]);
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(':') else {
                continue;
            };
            if let Some(value) = value.strip_suffix("|c") {
                let metric = name.rsplit([';', '.']).next().unwrap_or_default();
                *sums.entry(metric.to_owned()).or_default() += value.parse::<u64>().unwrap();
            }
        }
    }
    sums
}

#[tokio::test]
async fn sigterm_loses_nothing() {
    const BURST: u64 = 30;
    let statsd = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = statsd.local_addr().unwrap().port();
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    // Envoy sends its counters once: when it ends. Few, so that the socket's buffer holds them.
    let sink = format!(
        "stats_flush_interval: 299s\nstats_sinks:\n- name: envoy.stat_sinks.statsd\n  typed_config:\n    \"@type\": \
         type.googleapis.com/envoy.config.metrics.v3.StatsdSink\n    address: {{socket_address: {{protocol: UDP, address: \
         127.0.0.1, port_value: {port}}}}}\nstats_config:\n  stats_matcher: {{inclusion_list: {{patterns: [{{suffix: \
         inference_model_request_total}}, {{suffix: inference_model_request_duration_seconds_count}}, {{suffix: \
         inference_model_input_tokens_sum}}]}}}}\n"
    );
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 2, |config| {
        tiny_admitted(config)?.replace("stats_config:\n", &sink)
    })
    .await
    .unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let received = tokio::spawn(receive(statsd, Arc::clone(&end)));
    for _ in 0..BURST {
        post(&envoy).await;
    }
    let process = envoy.process_id().to_string();
    assert!(Command::new("kill").arg(&process).status().unwrap().success());
    eventually(|| async {
        match envoy.log().is_empty() && std::fs::exists(format!("/proc/{process}"))? {
            true => Err("Envoy runs".into()),
            false => Ok(()),
        }
    })
    .await
    .unwrap();
    end.store(true, Ordering::Relaxed);
    let sums = received.await.unwrap();
    let wanted = [
        ("inference_model_input_tokens_sum", 3 * BURST),
        ("inference_model_request_duration_seconds_count", BURST),
        ("inference_model_request_total", BURST),
    ];
    let wanted: BTreeMap<_, _> = wanted.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(sums, wanted);
}

#[tokio::test]
async fn trap_loses_only_what_was_not_yet_published() {
    const BURST: u64 = 20;
    let wasm = std::env::var_os("INFERTALLY_TRAP_WASM").map(PathBuf::from);
    let wasm = wasm.unwrap_or_else(|| panic!("INFERTALLY_TRAP_WASM is not set: run these tests by `make test`"));
    let (_sim, envoy) = simulated(
        &Binaries {
            wasm,
            ..Binaries::from_env().unwrap()
        },
        1,
    )
    .await;
    let counted = |wanted: u64| {
        move |stats: &Stats| match (requests(stats), durations(stats)) {
            seen if seen == (wanted, wanted) => Ok(()),
            seen => Err(format!("{seen:?} of {wanted}")),
        }
    };
    for _ in 0..BURST {
        post(&envoy).await;
    }
    envoy.scrape_until(counted(BURST)).await.unwrap();
    for _ in 0..BURST {
        post(&envoy).await;
    }
    let trap = client::request("POST", COMPLETIONS, &[("x-infertally-trap", "1")], b"{}");
    client::exchange(envoy.listener(), &trap, usize::MAX).await.unwrap();
    // The VM is dead, and what it had in its memory with it.
    let kept = requests(&envoy.scrape().await.unwrap());
    assert!((BURST..=2 * BURST).contains(&kept), "{kept} of {}", 2 * BURST);
    eventually(|| async {
        let request = client::request("POST", COMPLETIONS, &[], PROMPT);
        match client::exchange(envoy.listener(), &request, usize::MAX)
            .await?
            .response
            .status
        {
            200 => Ok(()),
            status => Err(format!("status {status}").into()),
        }
    })
    .await
    .unwrap();
    // Nothing but that is missing: the next exchange is the next count.
    envoy.scrape_until(counted(kept + 1)).await.unwrap();
    let gauge = |stats: &Stats| match total(stats, "inference_model_running_requests") {
        0 => Ok(()),
        running => Err(format!("{running} running")),
    };
    envoy.scrape_until(gauge).await.unwrap();
}
