//! Envoys that are found by DNS.

use std::path::Path;

use infertally_harness::{Result, Syncer, eventually};

use crate::setup::{Setup, send};

/// `localhost` has an address of each family in most hosts files, and one of IPv4 is preferred. One address, and yet its
/// series are labelled.
#[tokio::test]
async fn an_envoy_found_by_dns_has_the_label_envoy() -> Result<()> {
    let setup = Setup::start().await;
    let envoy = setup.envoy().await;
    let sent = send(&envoy, 2).await.len();
    let port = envoy.stats_listener().port();
    let name = format!("localhost:{port}");
    let binary = Path::new(env!("CARGO_BIN_EXE_infertally-syncer"));
    let syncer = Syncer::pool(binary, &["--envoy-dns", &name, "--envoy-interval", "200ms"]).await?;
    let series = format!(
        "inference_model_request_total{{model_name=\"tiny\",target_model_name=\"tiny\",envoy=\"127.0.0.1:{port}\"}} {sent}"
    );
    let page = syncer
        .shows(&[&series, "infertally_syncer_envoy_discovery_age_seconds 0"], &[])
        .await?;
    // The filter's stats are all on the page that was requested: those without labels, too.
    for name in [
        "infertally_filter_info{",
        "inference_model_request_duration_seconds_bucket{",
    ] {
        assert!(page.contains(name), "no {name} in\n{page}");
    }
    assert!(!page.contains("envoy_dropped_series"), "{page}");
    drop(envoy);
    eventually(async || match syncer.metrics().await? {
        page if page.contains("inference_model_") => Err("stale series".into()),
        _ => Ok(()),
    })
    .await
}
