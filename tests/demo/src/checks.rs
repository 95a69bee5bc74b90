//! Compares the metrics of the syncer with those of Envoy and the model servers.

use std::collections::BTreeMap;

use infertally_harness::stats::{Series, Stats};

/// The series of a metrics page.
pub(crate) type Page = BTreeMap<Series, f64>;

/// The load that each model server reports: pod name, waiting requests, KV cache utilization.
pub(crate) type Loads = Vec<(&'static str, f64, f64)>;

/// Checks that the page has every series of the filter with Envoy's value, except for sums in seconds, which the syncer computes
/// exactly from microseconds.
pub(crate) fn check_filter(page: &Page, stats: &Stats) -> Result<(), String> {
    let mut expected = Page::new();
    for (series, value) in stats {
        let value = *value as f64;
        let mut series = series.clone();
        if let Some(stem) = series.name.strip_suffix("_microseconds_total") {
            series.name = format!("{stem}_seconds_sum");
            expected.insert(series, value / 1e6);
        } else if series.name != "inference_extension_info" && !series.name.ends_with("_seconds_sum") {
            expected.insert(series, value);
        }
    }
    let from_filter = |series: &Series| {
        ["inference_model_", "normalized_time_", "infertally_filter_"]
            .iter()
            .any(|prefix| series.name.starts_with(prefix))
    };
    let actual: Page = page
        .iter()
        .filter(|(series, _)| from_filter(series))
        .map(|(series, value)| (series.clone(), *value))
        .collect();
    compare(&actual, &expected)
}

/// Checks the guide's pool gauges against the load of the model servers.
pub(crate) fn check_pool(page: &Page, loads: &Loads) -> Result<(), String> {
    let mean = |value: fn(&(&str, f64, f64)) -> f64| loads.iter().map(value).sum::<f64>() / loads.len() as f64;
    let pool_series = |name: &str| Series::new(format!("inference_pool_{name}"), &[("name", "default")]);
    let mut expected = Page::from([
        (
            pool_series("average_kv_cache_utilization"),
            mean(|(_, _, cache)| *cache),
        ),
        (pool_series("average_queue_size"), mean(|(_, waiting, _)| *waiting)),
        (pool_series("ready_pods"), loads.len() as f64),
    ]);
    for (pod, waiting, _) in loads {
        let labels = [("name", "default"), ("model_server_pod", *pod)];
        expected.insert(Series::new("inference_pool_per_pod_queue_size", &labels), *waiting);
    }
    let actual: Page = page
        .iter()
        .filter(|(series, _)| expected.keys().any(|expected| expected.name == series.name))
        .map(|(series, value)| (series.clone(), *value))
        .collect();
    compare(&actual, &expected)
}

/// Checks the status and the reason of each adapter.
pub(crate) fn check_adapters(page: &Page, adapters: &[(&str, f64, &str)]) -> Result<(), String> {
    let status = |adapter: &str| Series::new("lora_syncer_adapter_status", &[("adapter_name", adapter)]);
    let expected: Page = adapters.iter().map(|(name, value, _)| (status(name), *value)).collect();
    let actual = page
        .iter()
        .filter(|(series, _)| series.name == "lora_syncer_adapter_status");
    compare(
        &actual.map(|(series, value)| (series.clone(), *value)).collect(),
        &expected,
    )?;
    let different = adapters
        .iter()
        .find(|(name, _, reason)| reason_of(page, name) != *reason);
    match different {
        None => Ok(()),
        Some((name, _, reason)) => Err(format!("  {name}: reason {}, expected {reason}", reason_of(page, name))),
    }
}

/// The reason for an adapter's status.
pub(crate) fn reason_of<'a>(page: &'a Page, adapter: &str) -> &'a str {
    let info = page
        .keys()
        .find(|series| series.name == "lora_syncer_adapter_info" && series.label("adapter_name") == adapter);
    info.map_or("", |series| series.label("reason"))
}

fn compare(actual: &Page, expected: &Page) -> Result<(), String> {
    let keys: std::collections::BTreeSet<_> = actual.keys().chain(expected.keys()).collect();
    let show = |value: Option<&f64>| value.map_or("absent".to_owned(), f64::to_string);
    let rows: Vec<_> = keys
        .into_iter()
        .filter(|key| actual.get(key) != expected.get(key))
        .map(|key| {
            format!(
                "  {key}: {}, expected {}",
                show(actual.get(key)),
                show(expected.get(key))
            )
        })
        .collect();
    if rows.is_empty() { Ok(()) } else { Err(rows.join("\n")) }
}
