//! Checks that every Envoy did the work that it is measured for; otherwise the figures mean nothing.

use std::collections::BTreeMap;

use infertally_harness::client::get;
use infertally_harness::envoy::Envoy;
use infertally_harness::{Result, eventually};

use crate::ext_proc::{ExtProc, Totals};
use crate::variant::Variant;
use crate::workload::Workload;

/// Compares the metrics of one Envoy with the number of requests of each workload that were sent to it.
pub(crate) async fn check(
    variant: &Variant,
    envoy: &Envoy,
    server: Option<&ExtProc>,
    sent: &[(&Workload, u64)],
) -> Result<()> {
    match variant {
        Variant::Plain | Variant::Noop(_) => Ok(()),
        Variant::Infertally | Variant::OtherBuild(_) => infertally(envoy, sent).await,
        Variant::Cpp => cpp(envoy, sent).await,
        Variant::ExtProc(_) => ext_proc(server.ok_or("the server is missing")?, sent).await,
    }
    .map_err(|error| format!("{} did not process what was sent:\n{error}", variant.title()).into())
}

async fn infertally(envoy: &Envoy, sent: &[(&Workload, u64)]) -> Result<()> {
    let sum = |of: fn(&Workload) -> u64| sent.iter().map(|(workload, count)| of(workload) * count).sum();
    // Summed over all models.
    let expected: BTreeMap<&str, u64> = [
        ("inference_model_request_total", sum(|_| 1)),
        ("inference_model_request_duration_seconds_count", sum(|_| 1)),
        ("normalized_time_per_output_token_seconds_count", sum(|_| 1)),
        (
            "inference_model_request_sizes_sum",
            sum(|workload| workload.request_body_bytes),
        ),
        (
            "inference_model_response_sizes_sum",
            sum(|workload| workload.response.body.len() as u64),
        ),
        (
            "inference_model_input_tokens_sum",
            sum(|workload| workload.prompt_tokens),
        ),
        (
            "inference_model_output_tokens_sum",
            sum(|workload| workload.completion_tokens),
        ),
    ]
    .into();
    envoy
        .scrape_until(|stats| {
            let mut actual: BTreeMap<&str, u64> = BTreeMap::new();
            for (series, value) in stats {
                if expected.contains_key(series.name.as_str()) {
                    *actual.entry(&series.name).or_default() += value;
                }
            }
            if actual == expected {
                Ok(())
            } else {
                Err(format!("expected {expected:?}, got {actual:?}"))
            }
        })
        .await?;
    Ok(())
}

async fn cpp(envoy: &Envoy, sent: &[(&Workload, u64)]) -> Result<()> {
    let count = |stream: Option<bool>| {
        sent.iter()
            .filter(|(workload, _)| stream.is_none_or(|stream| workload.is_stream() == stream))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    // For each stream: model, prompt tokens and completion tokens.
    let expected = [
        ("json_to_metadata.rq.success", count(None)),
        ("json_to_metadata.resp.success", count(Some(false))),
        ("sse_to_metadata.resp.json.metadata_added", 3 * count(Some(true))),
    ];
    eventually(|| async {
        let page = get(envoy.admin(), "/stats?filter=_to_metadata").await?;
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.split_once(name))?;
            line.1.trim_start_matches(':').trim().parse::<u64>().ok()
        };
        for (name, expected) in expected {
            if value(name) != Some(expected) {
                return Err(format!("{name} must be {expected}:\n{page}").into());
            }
        }
        Ok(())
    })
    .await
}

async fn ext_proc(server: &ExtProc, sent: &[(&Workload, u64)]) -> Result<()> {
    let sum = |of: fn(&Workload) -> u64| sent.iter().map(|(workload, count)| of(workload) * count).sum();
    let expected = Totals {
        requests: sum(|_| 1),
        input_tokens: sum(|workload| workload.prompt_tokens),
        output_tokens: sum(|workload| workload.completion_tokens),
    };
    eventually(|| async {
        let totals = server.totals().await?;
        if totals == expected {
            Ok(())
        } else {
            Err(format!("expected {expected:?}, got {totals:?}").into())
        }
    })
    .await
}
