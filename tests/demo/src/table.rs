//! The guide's metrics as a table for a person: a row for each metric and pair of models, or pod.

use std::fmt::Write;

use infertally_harness::stats::Series;

use crate::served::{Page, reason_of};

/// The guide's order.
const METRICS: [&str; 15] = [
    "inference_model_request_total",
    "inference_model_request_error_total",
    "inference_model_request_duration_seconds",
    "normalized_time_per_output_token_seconds",
    "inference_model_request_sizes",
    "inference_model_response_sizes",
    "inference_model_input_tokens",
    "inference_model_output_tokens",
    "inference_model_running_requests",
    "inference_pool_average_kv_cache_utilization",
    "inference_pool_average_queue_size",
    "inference_pool_per_pod_queue_size",
    "inference_pool_ready_pods",
    "inference_extension_info",
    "lora_syncer_adapter_status",
];

pub(crate) fn table(stats: &Page) -> String {
    let mut rows = vec![
        [
            "metric",
            "model_name, pool or adapter",
            "target_model_name, or pod",
            "value",
        ]
        .map(str::to_owned),
    ];
    for metric in METRICS {
        // A histogram has a row for its count, and the rest is told there.
        let of_metric = stats
            .iter()
            .filter(|(series, _)| series.name.trim_end_matches("_count") == metric);
        for (index, (series, value)) in of_metric.enumerate() {
            let name = if index == 0 { metric } else { "" };
            rows.push(
                [
                    name,
                    first(series, &["model_name", "name", "adapter_name"]),
                    first(series, &["target_model_name", "model_server_pod"]),
                    &tell(stats, series, *value),
                ]
                .map(str::to_owned),
            );
        }
    }
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or_default()
    };
    let [metric, model, target] = [0, 1, 2].map(width);
    rows.iter()
        .fold(String::new(), |mut text, [name, model_name, target_name, value]| {
            _ = writeln!(
                text,
                "  {name:metric$}  {model_name:model$}  {target_name:target$}  {value}"
            );
            text
        })
}

/// A series has one of these at most.
fn first<'a>(series: &'a Series, labels: &[&str]) -> &'a str {
    let mut values = labels.iter().map(|label| series.label(label));
    values.find(|value| !value.is_empty()).unwrap_or_default()
}

fn tell(stats: &Page, series: &Series, value: f64) -> String {
    let Some(name) = series.name.strip_suffix("_count") else {
        return match series.label("error_code") {
            "" if series.name == "inference_extension_info" => {
                format!(
                    "{value}  commit={:.12} build_ref={}",
                    series.label("commit"),
                    series.label("build_ref")
                )
            }
            "" if series.name == "lora_syncer_adapter_status" => {
                format!("{value}  {}", reason_of(stats, series.label("adapter_name")))
            }
            "" => value.to_string(),
            code => format!("{value} {code}"),
        };
    };
    let of = |name: String| {
        stats
            .get(&Series {
                name,
                labels: series.labels.clone(),
            })
            .copied()
            .unwrap_or_default()
    };
    let sum = of(format!("{name}_sum"));
    let mean = sum / value;
    if name.ends_with("_seconds") {
        let within = quantile(stats, series, name, value);
        format!("{value} observed, mean {:.2} ms, 99 % within {within} s", mean * 1e3)
    } else {
        format!("{value} observed, sum {sum}, mean {mean:.1}")
    }
}

/// The bound of the first bucket that holds 99 % of the observations.
fn quantile(stats: &Page, series: &Series, name: &str, count: f64) -> String {
    let bound = |series: &Series| series.label("le").parse().unwrap_or(f64::INFINITY);
    let buckets = stats.iter().filter(|(bucket, seen)| {
        let same = ["model_name", "target_model_name"]
            .iter()
            .all(|label| bucket.label(label) == series.label(label));
        same && bucket.name == format!("{name}_bucket") && **seen * 100.0 >= count * 99.0
    });
    buckets
        .map(|(bucket, _)| bound(bucket))
        .fold(f64::INFINITY, f64::min)
        .to_string()
}
