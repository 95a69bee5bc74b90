//! The syncer's page for a real Envoy: every histogram is what was sent, also in the middle of it, and several Envoys stay
//! separate.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

mod flat;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use infertally_harness::capture::Capture;
use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT, STREAM};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::stats::{self, Series, Stats};
use infertally_harness::{client, repository};
use infertally_oracle::api::Api;
use infertally_oracle::{Completion, Expected, duration, read};
use infertally_sim::{Replay, ReplayConfig, Sim, SimConfig};
use infertally_syncer::envoy_stats::{self, EnvoyPage};

use flat::flat;

async fn text(envoy: &Envoy) -> String {
    client::get(envoy.stats_listener(), "/stats/prometheus").await.unwrap()
}

async fn page(envoy: &Envoy) -> EnvoyPage {
    envoy_stats::read([text(envoy).await.as_bytes()]).unwrap()
}

/// The series served for this Envoy alone; each sum of seconds must be that of its exact counter.
async fn served(envoy: &Envoy) -> Stats {
    let text = text(envoy).await;
    let page = envoy_stats::read([text.as_bytes()]).unwrap();
    for (reason, count) in page.dropped() {
        assert_eq!(count, 0, "{reason:?}");
    }
    let served = flat(&envoy_stats::families([("envoy", &page)], false));
    for (series, microseconds) in stats::parse(&text).unwrap() {
        if series.name.ends_with("_microseconds_total") {
            assert_eq!(served.get(&series), Some(&microseconds), "{series}");
        }
    }
    served
}

#[tokio::test]
async fn every_capture_is_served_exactly() {
    let dir = repository("tests/fixtures/vllm-0.32.0");
    let replay = Replay::start(ReplayConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        dir: dir.clone(),
    })
    .await
    .unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), replay.addr(), 1, Ok)
        .await
        .unwrap();
    let mut expected = Expected::new(1);
    let mut before = Stats::new();
    for capture in Capture::load_all(&dir).unwrap() {
        if Api::of(&capture.method, &capture.path).is_none() {
            continue;
        }
        let headers = [("x-sim-replay", capture.name.as_str()), ("x-sim-chunk", "whole")];
        let request = client::request("POST", &capture.path, &headers, &capture.request_body);
        let timed = client::exchange(envoy.listener(), &request, usize::MAX).await.unwrap();
        let completion = if capture.response.complete {
            Completion::Complete
        } else {
            Completion::UpstreamReset
        };
        expected.add(&read(&capture.path, &capture.request_body, &timed.response, completion).unwrap());
        envoy.scrape_until(|stats| expected.check(stats)).await.unwrap();

        let after = served(&envoy).await;
        expected
            .check(&after)
            .unwrap_or_else(|error| panic!("{}:\n{error}", capture.name));
        let took_us = u64::try_from(timed.took.as_micros()).unwrap();
        duration::check(&before, &after, took_us).unwrap();
        before = after;
    }
    assert!(expected.requests() > 90, "{}", expected.requests());
}

/// These pages are torn: Envoy reads one counter after the other while both workers count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histograms_are_consistent_and_never_fall_while_workers_count() {
    const CLIENTS: usize = 16;
    const EACH: usize = 100;
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let change = infertally_harness::checked_envoy::tiny_admitted;
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 2, change)
        .await
        .unwrap();
    let started = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (listener, started) = (envoy.listener(), Arc::clone(&started));
            tokio::spawn(async move {
                let body = if n.is_multiple_of(2) { PROMPT } else { STREAM };
                let request = client::request("POST", COMPLETIONS, &[], body);
                let mut facts = Vec::new();
                for _ in 0..EACH {
                    started.fetch_add(1, Ordering::SeqCst);
                    let response = client::exchange(listener, &request, usize::MAX).await.unwrap().response;
                    facts.push(read(COMPLETIONS, body, &response, Completion::Complete).unwrap());
                }
                facts
            })
        })
        .collect();

    let (mut pages, mut torn, mut before) = (0, 0, Stats::new());
    while clients.iter().any(|client| !client.is_finished()) {
        let text = text(&envoy).await;
        let most = started.load(Ordering::SeqCst);
        let page = envoy_stats::read([text.as_bytes()]).unwrap();
        let now = flat(&envoy_stats::families([("envoy", &page)], false));
        for (series, value) in &before {
            // A gauge may fall.
            let rises = now.get(series).is_some_and(|now| now >= value);
            assert!(rises || series.name.ends_with("_running_requests"), "{series} fell");
        }
        for buckets in flat::histograms(&now) {
            assert!(buckets.is_sorted(), "{buckets:?}");
            assert!(buckets.last() <= Some(&most), "{buckets:?} of {most}");
        }
        torn += flat::histograms(&stats::parse(&text).unwrap())
            .iter()
            .filter(|buckets| !buckets.is_sorted())
            .count();
        pages += 1;
        before = now;
    }
    println!("{pages} pages, {torn} torn histograms on them");

    let mut expected = Expected::admitting(2, ["tiny"]);
    for client in clients {
        for facts in client.await.unwrap() {
            expected.add(&facts);
        }
    }
    envoy.scrape_until(|stats| expected.check(stats)).await.unwrap();
    expected.check(&served(&envoy).await).unwrap();
    assert_eq!(expected.requests(), (CLIENTS * EACH) as u64);
}

#[tokio::test]
async fn two_envoys_stay_separate_and_a_restart_resets_only_one() {
    async fn send(envoy: &Envoy, times: u64) {
        for _ in 0..times {
            let request = client::request("POST", COMPLETIONS, &[], PROMPT);
            client::exchange(envoy.listener(), &request, usize::MAX).await.unwrap();
        }
        let sent = |stats: &Stats| match infertally_oracle::totals::requests(stats) {
            seen if seen == times => Ok(()),
            seen => Err(format!("{seen} of {times}")),
        };
        envoy.scrape_until(sent).await.unwrap();
    }
    /// By Envoy: requests, and the count and sum of input tokens.
    async fn counts(envoys: [(&str, &Envoy); 2]) -> BTreeMap<String, [u64; 3]> {
        let [(a, first), (b, second)] = envoys;
        let (first, second) = (page(first).await, page(second).await);
        let served = flat(&envoy_stats::families([(a, &first), (b, &second)], true));
        let names = [
            "inference_model_request_total",
            "inference_model_input_tokens_count",
            "inference_model_input_tokens_sum",
        ];
        let value = |envoy: &str, name: &str| {
            let labels = [("model_name", "tiny"), ("target_model_name", "tiny"), ("envoy", envoy)];
            served[&Series::new(name, &labels)]
        };
        [a, b]
            .map(|envoy| (envoy.to_owned(), names.map(|name| value(envoy, name))))
            .into()
    }

    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let binaries = Binaries::from_env().unwrap();
    let start = || Envoy::start(&binaries, sim.addr(), 1, Ok);
    let (a, b) = (start().await.unwrap(), start().await.unwrap());
    send(&a, 3).await;
    send(&b, 5).await;
    let both = [("a:9901".to_owned(), [3, 3, 9]), ("b:9901".to_owned(), [5, 5, 15])];
    assert_eq!(counts([("a:9901", &a), ("b:9901", &b)]).await, both.into());

    drop(a);
    let a = start().await.unwrap();
    send(&a, 1).await;
    let both = [("a:9901".to_owned(), [1, 1, 3]), ("b:9901".to_owned(), [5, 5, 15])];
    assert_eq!(counts([("a:9901", &a), ("b:9901", &b)]).await, both.into());
}

#[tokio::test]
async fn an_envoy_without_requests_is_served_without_models() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 1, Ok)
        .await
        .unwrap();
    envoy.scrape_until(|stats| Expected::new(1).check(stats)).await.unwrap();
    Expected::new(1).check(&served(&envoy).await).unwrap();
}
