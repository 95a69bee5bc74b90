//! The label values of models: their limit across four workers, hostile names, and the three sources of
//! `target_model_name`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig};
use infertally_harness::stats::Stats;
use infertally_harness::{Result, client, repository};
use infertally_oracle::labels::label_value;
use infertally_oracle::totals::requests;
use infertally_sim::{Replay, ReplayConfig};

/// A server that responds to every request with a capture, whatever model it names; those with status 200 name `tiny`.
async fn upstream() -> Replay {
    let dir = repository("tests/fixtures/vllm-0.32.0");
    Replay::start(ReplayConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        dir,
    })
    .await
    .unwrap()
}

async fn start(workers: u64, settings: &str) -> (Replay, Envoy) {
    let upstream = upstream().await;
    let change = |config: EnvoyConfig| config.replace(r#""models": [], "maxModels": 200"#, settings);
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), upstream.addr(), workers, change)
        .await
        .unwrap();
    (upstream, envoy)
}

/// A request for the model of this name, a JSON string without its quotes.
fn request(name: &[u8], capture: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let body = [&br#"{"messages":[],"model":""#[..], name, br#""}"#].concat();
    let headers = [&[("x-sim-replay", capture)], more].concat();
    client::request("POST", "/v1/chat/completions", &headers, &body)
}

async fn scrape_after(envoy: &Envoy, count: u64) -> Stats {
    let all = |stats: &Stats| {
        let seen = requests(stats);
        if seen == count {
            Ok(())
        } else {
            Err(format!("{seen} requests, not {count}"))
        }
    };
    envoy.scrape_until(all).await.unwrap()
}

/// Requests by `model_name` and `target_model_name`.
fn by_labels(stats: &Stats) -> BTreeMap<(String, String), u64> {
    let total = stats
        .iter()
        .filter(|(series, _)| series.name == "inference_model_request_total");
    let labels = |label: &str, series: &infertally_harness::stats::Series| series.label(label).to_owned();
    total
        .map(|(series, value)| {
            (
                (labels("model_name", series), labels("target_model_name", series)),
                *value,
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_models_holds_across_four_workers() {
    const NAMES: u64 = 1000;
    const LIMIT: usize = 50;
    let (_upstream, envoy) = start(4, r#""models": ["kept-1", "kept-2"], "maxModels": 50"#).await;
    let mut admitted = BTreeSet::new();
    for round in 1..=3 {
        let sent: Vec<_> = (0..4)
            .map(|part| {
                let listener = envoy.listener();
                tokio::spawn(async move {
                    for name in (0..NAMES).filter(|name| name % 4 == part) {
                        // Each round in another order, so that each worker sees most names.
                        let name = (name * [1, 7, 333][round as usize - 1] + round) % NAMES;
                        let name = if name < 2 {
                            format!("kept-{}", name + 1)
                        } else {
                            format!("model-{name}")
                        };
                        client::exchange(listener, &request(name.as_bytes(), "chat_plain", &[]), usize::MAX).await?;
                    }
                    Result::Ok(())
                })
            })
            .collect();
        for part in sent {
            part.await.unwrap().unwrap();
        }
        let stats = scrape_after(&envoy, round * NAMES).await;
        let names: BTreeSet<_> = by_labels(&stats).into_keys().map(|(model, _)| model).collect();
        assert!(
            names.contains("other") && names.contains("kept-1") && names.contains("kept-2"),
            "{names:?}"
        );
        // `tiny`, which the responses name, is one of the admitted names.
        assert_eq!(names.len(), LIMIT - 1 + 2 + 1, "{names:?}");
        if round > 1 {
            assert_eq!(names, admitted, "round {round} admitted others");
        }
        admitted = names;
        let values: BTreeSet<_> = stats
            .keys()
            .flat_map(|series| series.labels.get("model_name"))
            .collect();
        assert_eq!(values.len(), admitted.len());
    }
    let stats = envoy.scrape_until(|stats| {
        let value = |name: &str| {
            stats
                .iter()
                .find(|(series, _)| series.name == name)
                .map(|(_, value)| *value)
        };
        let other: u64 = by_labels(stats)
            .iter()
            .filter(|((model, _), _)| model == "other")
            .map(|(_, value)| value)
            .sum();
        let seen = (
            value("infertally_filter_admitted_models"),
            value("infertally_filter_label_overflow_total"),
        );
        if seen == (Some(LIMIT as u64), Some(other)) {
            Ok(())
        } else {
            Err(format!("{seen:?}, {other} others"))
        }
    });
    stats.await.unwrap();
}

#[tokio::test]
async fn hostile_names_are_escaped_and_corrupt_no_series() {
    let (_upstream, envoy) = start(2, r#""maxModels": 1000"#).await;
    // The JSON text of the name, and its bytes.
    let escaped = |text: &str| {
        (
            text.as_bytes().to_vec(),
            serde_json::from_str::<String>(&format!("\"{text}\""))
                .unwrap()
                .into_bytes(),
        )
    };
    let mut names: Vec<(Vec<u8>, Vec<u8>)> = [
        "a;b",
        "a=b",
        ";.;",
        "=.=",
        "x;.;le=.=9;.;y",
        "model_name=.=x;.;target_model_name=.=y;.;",
        "a%3Bb",
        "%",
        "%%",
        "a\\\"b",
        "a\\\\b",
        "a\\nb",
        "\\r\\n",
        "a\\tb",
        "a\\u0000b",
        "\\u007f",
        "\\u001b[31m",
        "a..b",
        ".",
        "..",
        ".a.",
        " ",
        " a ",
        "a b",
        "{}",
        "{a=\\\"b\\\"}",
        "a,b",
        "#",
        "a/b:c@d",
        "\\u00fc\\u6a21\\u578b",
        "\\ud83d\\ude00",
        "\\u2028",
        "\\u0085",
        "kv-cache.q4",
        "tag.x",
        "wasmcustom.x",
        "le=.=",
        "inference_model_request_total",
        "+Inf",
        "NaN",
        "-",
        "_",
    ]
    .iter()
    .map(|text| escaped(text))
    .collect();
    names.push((b"a\xffb".to_vec(), b"a\xffb".to_vec()));
    names.push((b"\xc3\x28".to_vec(), b"\xc3\x28".to_vec()));
    names.push((b"\xed\xa0\x80".to_vec(), b"\xed\xa0\x80".to_vec()));
    names.push(("é".repeat(300).into_bytes(), "é".repeat(128).into_bytes()));
    names.push((vec![b'x'; 1 << 20], vec![b'x'; 256]));
    let mut wanted: BTreeMap<_, u64> = names
        .iter()
        .map(|(_, bytes)| ((label_value(bytes), "tiny".to_owned()), 1))
        .collect();
    assert_eq!(wanted.len(), names.len(), "label values collide");
    // The reserved values, and an empty name.
    names.extend([b"other".to_vec(), b"unknown".to_vec(), Vec::new()].map(|name| (name, Vec::new())));
    for label in ["%6Fther", "%75nknown", "tiny"] {
        wanted.insert((label.to_owned(), "tiny".to_owned()), 1);
    }
    for (index, (text, _)) in names.iter().enumerate() {
        let response = client::exchange(envoy.listener(), &request(text, "chat_plain", &[]), usize::MAX)
            .await
            .unwrap()
            .response;
        assert_eq!(response.status, 200);
        if index % 10 > 0 && index + 1 < names.len() {
            continue;
        }
        let stats = scrape_after(&envoy, index as u64 + 1).await;
        for series in stats.keys() {
            assert!(
                series.name.starts_with("inference_")
                    || series.name.starts_with("infertally_")
                    || series.name.starts_with("normalized_"),
                "{series}"
            );
            let le = series
                .labels
                .get("le")
                .is_none_or(|le| le == "+Inf" || le.parse::<f64>().is_ok());
            assert!(le, "{series}");
        }
    }
    assert_eq!(by_labels(&scrape_after(&envoy, names.len() as u64).await), wanted);
}

#[tokio::test]
async fn the_target_is_the_headers_else_the_responses_else_the_requested_model() {
    let (_upstream, envoy) = start(1, r#""models": ["a", "lora"], "targetModelHeader": "x-target""#).await;
    let header: &[(&str, &str)] = &[("x-target", "lora")];
    let mut wanted = BTreeMap::new();
    for (index, (capture, more, target)) in [
        ("chat_plain", header, "lora"),
        ("chat_plain", &[], "tiny"),
        ("chat_err_bad_type", &[], "a"),
        ("chat_err_bad_type", header, "lora"),
    ]
    .into_iter()
    .enumerate()
    {
        client::exchange(envoy.listener(), &request(b"a", capture, more), usize::MAX)
            .await
            .unwrap();
        *wanted.entry(("a".to_owned(), target.to_owned())).or_default() += 1;
        assert_eq!(
            by_labels(&scrape_after(&envoy, index as u64 + 1).await),
            wanted,
            "{capture}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacker_with_a_header_and_any_model_name_bounds_and_displaces_nothing() {
    const NAMES: usize = 13;
    let settings = r#""models": ["a", "lora", "tiny"], "maxModels": 10, "targetModelHeader": "x-target""#;
    let (_upstream, envoy) = start(2, settings).await;
    let send = async |name: &str, target: Option<&str>| {
        let headers: Vec<_> = target.map(|target| ("x-target", target)).into_iter().collect();
        let request = request(name.as_bytes(), "chat_plain", &headers);
        client::exchange(envoy.listener(), &request, usize::MAX).await.unwrap();
    };
    // Junk targets for a known model make one series: a header admits no name.
    for number in 0..100 {
        send("a", Some(&format!("junk-{number}"))).await;
    }
    let pairs = by_labels(&scrape_after(&envoy, 100).await);
    assert_eq!(pairs, BTreeMap::from([(("a".to_owned(), "other".to_owned()), 100)]));
    // Every name that the server accepts, with every other as its target.
    let names: Vec<_> = (0..20).map(|number| format!("name-{number}")).collect();
    for name in &names {
        send(name, Some(name)).await;
    }
    for name in &names {
        for target in &names {
            send(name, Some(target)).await;
        }
    }
    let stats = scrape_after(&envoy, 100 + 20 + 400).await;
    let pairs: BTreeSet<_> = by_labels(&stats).into_keys().collect();
    // Twice the names, and `other` with itself.
    assert!(pairs.len() <= 2 * NAMES + 1, "{pairs:?}");
    // What the server reports for a known model still has its place.
    for (name, count) in [("a", 521), ("lora", 522)] {
        send(name, None).await;
        let pairs = by_labels(&scrape_after(&envoy, count).await);
        assert_eq!(pairs.get(&(name.to_owned(), "tiny".to_owned())), Some(&1), "{pairs:?}");
    }
}
