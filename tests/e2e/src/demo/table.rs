//! The guide's metrics as a table for a person: a row for each metric and pair of models.

use std::fmt::Write;

use crate::stats::{Series, Stats};

/// The guide's order.
const METRICS: [&str; 10] = [
    "inference_model_request_total",
    "inference_model_request_error_total",
    "inference_model_request_duration_seconds",
    "normalized_time_per_output_token_seconds",
    "inference_model_request_sizes",
    "inference_model_response_sizes",
    "inference_model_input_tokens",
    "inference_model_output_tokens",
    "inference_model_running_requests",
    "inference_extension_info",
];

pub(super) fn table(stats: &Stats) -> String {
    let mut rows = vec![["metric", "model_name", "target_model_name", "value"].map(str::to_owned)];
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
                    series.label("model_name"),
                    series.label("target_model_name"),
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

fn tell(stats: &Stats, series: &Series, value: u64) -> String {
    let Some(name) = series.name.strip_suffix("_count") else {
        return match series.label("error_code") {
            "" if series.name == "inference_extension_info" => {
                format!(
                    "{value}  commit={:.12} build_ref={}",
                    series.label("commit"),
                    series.label("build_ref")
                )
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
    let mean = |sum: u64| sum as f64 / value as f64;
    match name.strip_suffix("_seconds") {
        Some(stem) => {
            let milliseconds = mean(of(format!("{stem}_microseconds_total"))) / 1000.0;
            format!(
                "{value} observed, mean {milliseconds:.2} ms, 99 % within {} s",
                quantile(stats, series, name, value)
            )
        }
        None => {
            let sum = of(format!("{name}_sum"));
            format!("{value} observed, sum {sum}, mean {:.1}", mean(sum))
        }
    }
}

/// The bound of the first bucket that holds 99 % of the observations.
fn quantile(stats: &Stats, series: &Series, name: &str, count: u64) -> String {
    let bound = |series: &Series| series.label("le").parse().unwrap_or(f64::INFINITY);
    let buckets = stats.iter().filter(|(bucket, seen)| {
        let same = ["model_name", "target_model_name"]
            .iter()
            .all(|label| bucket.label(label) == series.label(label));
        same && bucket.name == format!("{name}_bucket") && **seen * 100 >= count * 99
    });
    buckets
        .map(|(bucket, _)| bound(bucket))
        .fold(f64::INFINITY, f64::min)
        .to_string()
}
