//! What the syncer serves, held against what Envoy and the model servers say themselves.

use std::collections::BTreeMap;

use infertally_harness::stats::{Series, Stats};

/// The syncer's page.
pub(crate) type Page = BTreeMap<Series, f64>;

/// The pool as the model servers tell it: for each pod its name, its waiting requests, and its KV cache's use.
pub(crate) type Loads = Vec<(&'static str, f64, f64)>;

/// Every series of the filter must be on the page as it is in Envoy, but for the sums in seconds, which are exact here.
pub(crate) fn check_models(page: &Page, stats: &Stats) -> Result<(), String> {
    let mut wanted = Page::new();
    for (series, value) in stats {
        let value = *value as f64;
        let mut series = series.clone();
        if let Some(stem) = series.name.strip_suffix("_microseconds_total") {
            series.name = format!("{stem}_seconds_sum");
            wanted.insert(series, value / 1e6);
        } else if series.name != "inference_extension_info" && !series.name.ends_with("_seconds_sum") {
            wanted.insert(series, value);
        }
    }
    let ours = |series: &Series| {
        ["inference_model_", "normalized_time_", "infertally_filter_"]
            .iter()
            .any(|prefix| series.name.starts_with(prefix))
    };
    let served: Page = page
        .iter()
        .filter(|(series, _)| ours(series))
        .map(|(series, value)| (series.clone(), *value))
        .collect();
    compare(&served, &wanted)
}

/// The pool's gauges of the guide must be what the model servers say.
pub(crate) fn check_pool(page: &Page, loads: &Loads) -> Result<(), String> {
    let mean = |value: fn(&(&str, f64, f64)) -> f64| loads.iter().map(value).sum::<f64>() / loads.len() as f64;
    let of_pool = |name: &str| Series::new(format!("inference_pool_{name}"), &[("name", "default")]);
    let mut wanted = Page::from([
        (of_pool("average_kv_cache_utilization"), mean(|(_, _, cache)| *cache)),
        (of_pool("average_queue_size"), mean(|(_, waiting, _)| *waiting)),
        (of_pool("ready_pods"), loads.len() as f64),
    ]);
    for (pod, waiting, _) in loads {
        let labels = [("name", "default"), ("model_server_pod", *pod)];
        wanted.insert(Series::new("inference_pool_per_pod_queue_size", &labels), *waiting);
    }
    let served: Page = page
        .iter()
        .filter(|(series, _)| wanted.keys().any(|wanted| wanted.name == series.name))
        .map(|(series, value)| (series.clone(), *value))
        .collect();
    compare(&served, &wanted)
}

/// Of each adapter the status and the reason must be these.
pub(crate) fn check_adapters(page: &Page, adapters: &[(&str, f64, &str)]) -> Result<(), String> {
    let status = |adapter: &str| Series::new("lora_syncer_adapter_status", &[("adapter_name", adapter)]);
    let wanted: Page = adapters.iter().map(|(name, value, _)| (status(name), *value)).collect();
    let served = page
        .iter()
        .filter(|(series, _)| series.name == "lora_syncer_adapter_status");
    compare(
        &served.map(|(series, value)| (series.clone(), *value)).collect(),
        &wanted,
    )?;
    let other = adapters
        .iter()
        .find(|(name, _, reason)| reason_of(page, name) != *reason);
    match other {
        None => Ok(()),
        Some((name, _, reason)) => Err(format!("  {name}: {}, must be {reason}", reason_of(page, name))),
    }
}

/// Why an adapter stands as it does.
pub(crate) fn reason_of<'a>(page: &'a Page, adapter: &str) -> &'a str {
    let info = page
        .keys()
        .find(|series| series.name == "lora_syncer_adapter_info" && series.label("adapter_name") == adapter);
    info.map_or("", |series| series.label("reason"))
}

fn compare(served: &Page, wanted: &Page) -> Result<(), String> {
    let keys: std::collections::BTreeSet<_> = served.keys().chain(wanted.keys()).collect();
    let show = |value: Option<&f64>| value.map_or("absent".to_owned(), f64::to_string);
    let rows: Vec<_> = keys
        .into_iter()
        .filter(|key| served.get(key) != wanted.get(key))
        .map(|key| format!("  {key}: {}, must be {}", show(served.get(key)), show(wanted.get(key))))
        .collect();
    if rows.is_empty() { Ok(()) } else { Err(rows.join("\n")) }
}
