//! The complete page of a syncer passes `promtool check metrics`.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic on failure")]

use std::path::Path;

use infertally_harness::eventually;
use infertally_harness::page::{self, Load, full};
use infertally_harness::{Behaviour, Pod, Syncer, promtool};
use infertally_syncer::aliases::AliasSet;

/// The stats page of a real Envoy with the filter.
const ENVOY_PAGE: &str = include_str!("../../tests/fixtures/envoy-1.40.0/stats_prometheus.txt");
/// A series that the syncer drops.
const DROPPED: &str = "inference_model_running_requests{model_name=\"x\"} 0.5\n";
/// One family of each kind, and those that are served only in case of failures.
const FAMILIES: [&str; 12] = [
    "inference_extension_info",
    "inference_model_request_duration_seconds",
    "inference_objective_request_duration_seconds",
    "inference_model_request_total",
    "inference_pool_average_queue_size",
    "inference_pool_per_pod_adapter_info",
    "inference_pool_per_pod_adapters",
    "inference_pool_per_pod_max_adapters",
    "inference_pool_scrape_errors_total",
    "infertally_syncer_envoy_last_scrape_age_seconds",
    "infertally_syncer_envoy_dropped_series",
    "infertally_syncer_envoy_scrape_errors_total",
];

#[tokio::test]
async fn promtool_accepts_a_page_with_every_kind_of_family() {
    let load = Load {
        waiting: 1.0,
        running: 2.0,
        kv_cache: 0.000733,
    };
    let healthy = Pod::start(Behaviour::Page(full(load).unwrap())).await.unwrap();
    let adapters = Pod::start(Behaviour::Page(page::adapters().unwrap())).await.unwrap();
    let failing = Pod::start(Behaviour::Status(503)).await.unwrap();
    let page = Behaviour::Page([ENVOY_PAGE, DROPPED].concat().into());
    let envoy = Pod::start(page).await.unwrap();
    let mut arguments = ["--scrape-interval", "500ms", "--envoy-interval", "500ms"]
        .map(str::to_owned)
        .to_vec();
    for (flag, value) in [
        ("--target", healthy.target("healthy")),
        ("--target", adapters.target("adapters")),
        ("--target", failing.target("failing")),
        ("--envoy", format!("http://127.0.0.1:{}", envoy.port())),
        ("--envoy", format!("http://127.0.0.1:{}", failing.port())),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    // Not the third set: promtool reports the `d` in `llm_d_epp` as an abbreviated unit, days.
    for set in [AliasSet::InferenceModel, AliasSet::InferenceObjective] {
        arguments.extend(["--alias".to_owned(), set.to_string()]);
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let syncer = Syncer::pool(Path::new(env!("CARGO_BIN_EXE_infertally-syncer")), &arguments)
        .await
        .unwrap();
    let page = eventually(async || {
        let page = syncer.metrics().await?;
        let mut families = FAMILIES.into_iter();
        match families.find(|family| !page.contains(&format!("# TYPE {family} "))) {
            Some(missing) => Err(format!("no {missing} in\n{page}").into()),
            None => Ok(page),
        }
    })
    .await
    .unwrap();
    promtool::check_metrics(&page).unwrap();
}
