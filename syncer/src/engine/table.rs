//! [`Engine`] and the engines' metric names, which are in no other file. Taken from their sources and documentation:
//!
//! - vLLM: `vllm/v1/metrics/loggers.py`; `gpu_cache_usage_perc` before 0.10.
//! - SGLang: `python/sglang/srt/observability/metrics_collector.py`. A disaggregated server has more queues. A prefill
//!   request waits for its decode server in the bootstrap queue (`prealloc` before May 2026), then in the usual one; a decode
//!   request waits for memory in the prealloc queue. The inflight and transfer queues hold requests whose KV cache is being
//!   sent, so they neither wait nor run. With priorities, `priority=""` is the complete queue and the other series are parts
//!   of it. With `--enable-metrics-for-all-schedulers`, tensor-parallel and
//!   pipeline-parallel ranks report the same requests again; only series of different `dp_rank` are distinct.
//! - trtllm-serve: `tensorrt_llm/metrics/collector.py`. Served at `/prometheus/metrics`.
//! - Triton: `docs/user_guide/metrics.md`; its TensorRT-LLM backend: `custom_metrics_reporter.cc`.
//! - llama.cpp: `tools/server`; versions before May 2025 have `kv_cache_usage_ratio`.
//! - TGI: `backends/v3/src/{queue,backend}.rs`. It reports both after the first request.

use std::str::FromStr;

/// The engines whose metrics are known. A page with metrics of several is read as that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// TensorRT-LLM's own server, `trtllm-serve`.
    TensorRtLlm,
    /// Triton with the TensorRT-LLM backend.
    TritonTensorRtLlm,
    /// Triton with any other backend.
    Triton,
    /// llama.cpp's `llama-server`.
    LlamaCpp,
    /// Hugging Face's Text Generation Inference.
    Tgi,
}

/// A text that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine {0:?}: expected vllm, sglang, trtllm, triton-trtllm, triton, llamacpp or tgi")]
pub struct UnknownEngine(String);

/// The metrics of an engine.
pub(super) struct Row {
    pub(super) engine: Engine,
    /// The prefix of all its metrics.
    pub(super) prefix: &'static str,
    /// Queues, each by its names, the newest first. Requests are in one queue at a time, so they are summed. A server may
    /// lack any but the first.
    pub(super) waiting: &'static [&'static [Metric]],
    /// The newest name first.
    pub(super) running: &'static [Metric],
    pub(super) kv_cache: &'static [Metric],
    /// The metric whose labels list the LoRA adapters.
    pub(super) adapters: Option<&'static str>,
    /// Labels in which series differ that report the same requests.
    pub(super) replica_labels: &'static [&'static str],
}

/// A metric, and the labels that its series must have.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) labels: &'static [(&'static str, &'static str)],
}

/// The table, in the order of [`Engine`].
pub(super) static ROWS: [Row; 7] = [
    Row {
        engine: Engine::Vllm,
        prefix: "vllm:",
        waiting: &[&[metric("vllm:num_requests_waiting", &[])]],
        running: &[metric("vllm:num_requests_running", &[])],
        kv_cache: &[
            metric("vllm:kv_cache_usage_perc", &[]),
            metric("vllm:gpu_cache_usage_perc", &[]),
        ],
        adapters: Some("vllm:lora_requests_info"),
        replica_labels: &[],
    },
    Row {
        engine: Engine::Sglang,
        prefix: "sglang:",
        waiting: &[
            &[metric("sglang:num_queue_reqs", &[("priority", "")])],
            &[
                metric("sglang:num_prefill_bootstrap_queue_reqs", &[("priority", "")]),
                metric("sglang:num_prefill_prealloc_queue_reqs", &[("priority", "")]),
            ],
            &[metric("sglang:num_decode_prealloc_queue_reqs", &[("priority", "")])],
        ],
        running: &[metric("sglang:num_running_reqs", &[("priority", "")])],
        kv_cache: &[metric("sglang:token_usage", &[])],
        adapters: None,
        replica_labels: &["tp_rank", "pp_rank", "moe_ep_rank"],
    },
    Row {
        engine: Engine::TensorRtLlm,
        prefix: "trtllm_",
        waiting: &[&[metric("trtllm_num_requests_waiting", &[])]],
        running: &[metric("trtllm_num_requests_running", &[])],
        kv_cache: &[metric("trtllm_kv_cache_utilization", &[])],
        adapters: None,
        replica_labels: &[],
    },
    Row {
        engine: Engine::TritonTensorRtLlm,
        prefix: "nv_trt_llm_",
        waiting: &[&[metric("nv_trt_llm_request_metrics", &[("request_type", "waiting")])]],
        running: &[metric("nv_trt_llm_request_metrics", &[("request_type", "scheduled")])],
        kv_cache: &[metric(
            "nv_trt_llm_kv_cache_block_metrics",
            &[("kv_cache_block_type", "fraction")],
        )],
        adapters: None,
        replica_labels: &[],
    },
    Row {
        engine: Engine::Triton,
        prefix: "nv_inference_",
        waiting: &[&[metric("nv_inference_pending_request_count", &[])]],
        running: &[],
        kv_cache: &[],
        adapters: None,
        replica_labels: &[],
    },
    Row {
        engine: Engine::LlamaCpp,
        prefix: "llamacpp:",
        waiting: &[&[metric("llamacpp:requests_deferred", &[])]],
        running: &[metric("llamacpp:requests_processing", &[])],
        kv_cache: &[metric("llamacpp:kv_cache_usage_ratio", &[])],
        adapters: None,
        replica_labels: &[],
    },
    Row {
        engine: Engine::Tgi,
        prefix: "tgi_",
        waiting: &[&[metric("tgi_queue_size", &[])]],
        running: &[metric("tgi_batch_current_size", &[])],
        kv_cache: &[],
        adapters: None,
        replica_labels: &[],
    },
];

// === impl Engine ===

impl Engine {
    /// The name in flags and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::TensorRtLlm => "trtllm",
            Self::TritonTensorRtLlm => "triton-trtllm",
            Self::Triton => "triton",
            Self::LlamaCpp => "llamacpp",
            Self::Tgi => "tgi",
        }
    }
}

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let row = ROWS.iter().find(|row| row.engine.as_str() == text);
        row.map(|row| row.engine).ok_or_else(|| UnknownEngine(text.to_owned()))
    }
}

const fn metric(name: &'static str, labels: &'static [(&'static str, &'static str)]) -> Metric {
    Metric { name, labels }
}
