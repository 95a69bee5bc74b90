//! Formats the guide's metrics as a table with a row per series.

use std::fmt::Write;

use infertally_harness::stats::Series;

use crate::checks::{Page, reason_of};

/// The metrics, in the order of the guide.
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

pub(crate) fn table(page: &Page) -> String {
    let mut rows = vec![
        [
            "metric",
            "model_name, pool or adapter",
            "target_model_name or pod",
            "value",
        ]
        .map(str::to_owned),
    ];
    for metric in METRICS {
        // A histogram has one row, that of its count.
        let of_metric = page
            .iter()
            .filter(|(series, _)| series.name.trim_end_matches("_count") == metric);
        for (index, (series, value)) in of_metric.enumerate() {
            let name = if index == 0 { metric } else { "" };
            rows.push(
                [
                    name,
                    first(series, &["model_name", "name", "adapter_name"]),
                    first(series, &["target_model_name", "model_server_pod"]),
                    &value_of(page, series, *value),
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

/// The value of the first of these labels that is present.
fn first<'a>(series: &'a Series, labels: &[&str]) -> &'a str {
    let mut values = labels.iter().map(|label| series.label(label));
    values.find(|value| !value.is_empty()).unwrap_or_default()
}

fn value_of(page: &Page, series: &Series, value: f64) -> String {
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
                format!("{value}  {}", reason_of(page, series.label("adapter_name")))
            }
            "" => value.to_string(),
            code => format!("{value} {code}"),
        };
    };
    let value_of = |name: String| {
        page.get(&Series {
            name,
            labels: series.labels.clone(),
        })
        .copied()
        .unwrap_or_default()
    };
    let sum = value_of(format!("{name}_sum"));
    let mean = sum / value;
    if name.ends_with("_seconds") {
        let bound = p99_bound(page, series, name, value);
        format!("count {value}, mean {:.2} ms, p99 <= {bound} s", mean * 1e3)
    } else {
        format!("count {value}, sum {sum}, mean {mean:.1}")
    }
}

/// The upper bound of the first bucket that contains 99 % of the observations.
fn p99_bound(page: &Page, series: &Series, name: &str, count: f64) -> String {
    let bound = |series: &Series| series.label("le").parse().unwrap_or(f64::INFINITY);
    let buckets = page.iter().filter(|(bucket, seen)| {
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
