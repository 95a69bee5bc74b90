//! The shipped `envoy.yaml` against the filter's own table, and its stats listener against a curious client.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use infertally_filter::labels::Label;
use infertally_filter::metrics::METRICS;
use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig, loopback};
use infertally_harness::stats::Series;
use infertally_harness::{client, eventually};

#[test]
fn there_is_one_tag_for_each_label_in_the_tables_order() {
    let config = EnvoyConfig::shipped().unwrap();
    let tags: Vec<_> = config
        .text()
        .lines()
        .filter(|line| line.contains("tag_name"))
        .map(str::trim)
        .collect();
    let wanted: Vec<_> = Label::ALL
        .iter()
        .map(|label| format!(r"- {{tag_name: {0}, regex: '({0}=\.=(.*?);\.;)'}}", label.as_str()))
        .collect();
    assert_eq!(tags, wanted);
    // And the table writes no label beside these.
    for label in METRICS.iter().flat_map(|metric| metric.labels) {
        assert!(Label::ALL.contains(label), "{label:?}");
    }
}

#[tokio::test]
async fn the_build_is_told_from_the_start_and_nothing_else() {
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), loopback(9), 2, Ok)
        .await
        .unwrap();
    let stats = envoy.scrape().await.unwrap();
    let told: Vec<_> = stats
        .iter()
        .filter(|(series, _)| series.name.ends_with("_info"))
        .collect();
    for (series, value) in &told {
        assert_eq!(**value, 1, "{series}");
        assert!(series.labels.values().all(|value| !value.is_empty()), "{series}");
    }
    let labels: Vec<_> = told.iter().flat_map(|(series, _)| series.labels.keys()).collect();
    assert_eq!(labels, ["build_ref", "commit", "version"]);
    // No model before its first request, and no failure.
    for (series, value) in stats.iter().filter(|(series, _)| !series.name.ends_with("_info")) {
        assert!(series.name.starts_with("infertally_filter_"), "{series}");
        assert!(
            *value == 0 || series.name == "infertally_filter_memory_bytes",
            "{series}: {value}"
        );
    }
}

#[tokio::test]
async fn the_stats_listener_forwards_nothing_but_the_stats() {
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), loopback(9), 1, Ok)
        .await
        .unwrap();
    for (method, path, status) in [
        ("GET", "/stats/prometheus", 200),
        ("GET", "/stats/prometheus?usedonly", 200),
        ("POST", "/stats/prometheus", 404),
        ("HEAD", "/stats/prometheus", 404),
        ("GET", "/", 404),
        ("GET", "/stats", 404),
        ("GET", "/stats/prometheus/", 404),
        ("GET", "/stats/prometheus/../../quitquitquit", 404),
        ("GET", "//stats/prometheus", 404),
        ("POST", "/quitquitquit", 404),
        ("GET", "/config_dump", 404),
    ] {
        let request = client::request(method, path, &[], b"");
        let answer = client::exchange(envoy.stats_listener(), &request, usize::MAX)
            .await
            .unwrap()
            .answer;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    client::get(envoy.admin(), "/ready").await.unwrap();
}

#[tokio::test]
async fn a_broken_configuration_is_reported_whole_and_the_filter_works_on() {
    let change = |config: EnvoyConfig| config.replace(r#""maxModels": 200"#, r#""maxModels": "many", "modles": []"#);
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), loopback(9), 1, change)
        .await
        .unwrap();
    let request = client::request("POST", "/v1/completions", &[], br#"{"model":"a"}"#);
    let answer = client::exchange(envoy.listener(), &request, usize::MAX)
        .await
        .unwrap()
        .answer;
    assert_eq!(answer.status, 503);
    let failed = Series::new(
        "inference_model_request_error_total",
        &[
            ("model_name", "other"),
            ("target_model_name", "other"),
            ("error_code", "ServiceUnavailable"),
        ],
    );
    envoy
        .scrape_until(|stats| stats.get(&failed).map(|_| ()).ok_or(format!("{stats:?}")))
        .await
        .unwrap();
    let errors = Series::new("infertally_filter_config_errors", &[]);
    // They follow with the first heartbeat.
    envoy
        .scrape_until(|stats| match stats.get(&errors) {
            Some(2) => Ok(()),
            seen => Err(format!("{seen:?} errors")),
        })
        .await
        .unwrap();
    for mistake in [
        r#"key "maxModels" must be a whole number from 0 to 10000, not "many""#,
        r#"key "modles" is unknown"#,
    ] {
        eventually(|| async {
            if envoy.log().contains(mistake) {
                Ok(())
            } else {
                Err(envoy.log().into())
            }
        })
        .await
        .unwrap();
    }
}
