//! Metrics pages of a vLLM server with a given load.

use bytes::Bytes;

use crate::Result;

/// A page of about 60 KB that vLLM 0.32.0 served.
const CAPTURED: &[u8] = include_bytes!("../../../fixtures/vllm-0.32.0/metrics_queued.resp");
/// The same while requests use two adapters.
const ADAPTERS: &[u8] = include_bytes!("../../../fixtures/vllm-0.32.0/metrics_lora_waiting.resp");

/// The load on a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Waiting requests.
    pub waiting: f64,
    /// Running requests.
    pub running: f64,
    /// Share of the KV cache in use.
    pub kv_cache: f64,
}

/// The captured page with this load.
///
/// # Errors
/// If the capture lacks a gauge of it.
pub fn full(load: Load) -> Result<Bytes> {
    let body = body(CAPTURED)?;
    let mut replaced = 0;
    let mut page = String::with_capacity(body.len());
    for line in body.lines() {
        let value = match line.split_once('{').map(|(name, _)| name) {
            Some("vllm:num_requests_waiting") => Some(load.waiting),
            Some("vllm:num_requests_running") => Some(load.running),
            Some("vllm:kv_cache_usage_perc") => Some(load.kv_cache),
            _ => None,
        };
        match (value, line.rsplit_once(' ')) {
            (Some(value), Some((series, _))) => {
                replaced += 1;
                page.push_str(&format!("{series} {value:?}"));
            }
            _ => page.push_str(line),
        }
        page.push('\n');
    }
    if replaced == 3 {
        Ok(page.into())
    } else {
        Err(format!("the captured page has {replaced} of 3 gauges of the load").into())
    }
}

/// A captured page of a server with a limit of two running adapters; requests for `lora-a` and `lora-b` run and wait.
///
/// # Errors
/// If the capture is not a response.
pub fn adapters() -> Result<Bytes> {
    Ok(body(ADAPTERS)?.into())
}

fn body(captured: &'static [u8]) -> Result<&'static str> {
    let split = captured
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .ok_or("no head")?;
    Ok(std::str::from_utf8(captured.get(split + 4..).unwrap_or_default())?)
}

/// A page with the gauges of this load and nothing else.
pub fn small(load: Load) -> Bytes {
    let Load {
        waiting,
        running,
        kv_cache,
    } = load;
    format!(
        "vllm:num_requests_waiting{{engine=\"0\"}} {waiting:?}\nvllm:num_requests_running{{engine=\"0\"}} {running:?}\n\
         vllm:kv_cache_usage_perc{{engine=\"0\"}} {kv_cache:?}\n"
    )
    .into()
}
