//! The shipped `envoy.yaml`: its tags are those of the filter's table, and its stats listener serves the stats only.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use infertally_filter::labels::Label;
use infertally_filter::metrics::METRICS;
use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig, loopback};
use infertally_harness::stats::Series;
use infertally_harness::{client, eventually};

#[test]
fn there_is_one_tag_for_each_label_in_the_order_of_the_table() {
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
    // The table has no other labels.
    for label in METRICS.iter().flat_map(|metric| metric.labels) {
        assert!(Label::ALL.contains(label), "{label:?}");
    }
}

#[tokio::test]
async fn only_the_build_is_shown_before_the_first_request() {
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), loopback(9), 2, Ok)
        .await
        .unwrap();
    let stats = envoy.scrape().await.unwrap();
    let infos: Vec<_> = stats
        .iter()
        .filter(|(series, _)| series.name.ends_with("_info"))
        .collect();
    for (series, value) in &infos {
        assert_eq!(**value, 1, "{series}");
        assert!(series.labels.values().all(|value| !value.is_empty()), "{series}");
    }
    let labels: Vec<_> = infos.iter().flat_map(|(series, _)| series.labels.keys()).collect();
    assert_eq!(labels, ["build_ref", "commit", "version"]);
    // No model and no failure.
    for (series, value) in stats.iter().filter(|(series, _)| !series.name.ends_with("_info")) {
        assert!(series.name.starts_with("infertally_filter_"), "{series}");
        assert!(
            *value == 0 || series.name == "infertally_filter_memory_bytes",
            "{series}: {value}"
        );
    }
}

#[tokio::test]
async fn the_stats_listener_serves_nothing_but_the_stats() {
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
        let response = client::exchange(envoy.stats_listener(), &request, usize::MAX)
            .await
            .unwrap()
            .response;
        assert_eq!(response.status, status, "{method} {path}");
    }
    client::get(envoy.admin(), "/ready").await.unwrap();
}

#[tokio::test]
async fn every_configuration_error_is_reported_and_the_filter_keeps_working() {
    let change = |config: EnvoyConfig| config.replace(r#""maxModels": 200"#, r#""maxModels": "many", "modles": []"#);
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), loopback(9), 1, change)
        .await
        .unwrap();
    let request = client::request("POST", "/v1/completions", &[], br#"{"model":"a"}"#);
    let response = client::exchange(envoy.listener(), &request, usize::MAX)
        .await
        .unwrap()
        .response;
    assert_eq!(response.status, 503);
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
    for message in [
        r#"invalid plugin configuration: key "maxModels": expected an integer from 0 to 10000, got "many""#,
        r#"invalid plugin configuration: unknown key "modles""#,
    ] {
        eventually(|| async {
            if envoy.log().contains(message) {
                Ok(())
            } else {
                Err(envoy.log().into())
            }
        })
        .await
        .unwrap();
    }
}
