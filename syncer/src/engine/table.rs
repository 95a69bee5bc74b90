//! The engines' metric names, as their sources and documentation have them: the only place where they stand.
//!
//! - vLLM: `vllm/v1/metrics/loggers.py`; `gpu_cache_usage_perc` before 0.10.
//! - SGLang: `python/sglang/srt/observability/metrics_collector.py`. With priorities, `priority=""` is the whole queue and
//!   the others are its parts. Tensor-parallel and pipeline ranks that report (`--enable-metrics-for-all-schedulers`)
//!   hold the same requests once more; only `dp_rank` tells different ones apart.
//! - trtllm-serve: `tensorrt_llm/metrics/collector.py`. It serves them at `/prometheus/metrics`.
//! - Triton: `docs/user_guide/metrics.md`, and the README of its TensorRT-LLM backend.

use super::Engine;

/// What is known of an engine.
pub(super) struct Row {
    pub(super) engine: Engine,
    /// Every metric of its own begins so.
    pub(super) prefix: &'static str,
    /// Where the numbers stand, the newest name first.
    pub(super) waiting: &'static [Metric],
    pub(super) running: &'static [Metric],
    pub(super) kv_cache: &'static [Metric],
    /// The metric whose labels list the LoRA adapters.
    pub(super) adapters: Option<&'static str>,
    /// Labels by which series differ that report the same requests.
    pub(super) mirrors: &'static [&'static str],
}

/// A metric, and what its labels have to be.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) labels: &'static [(&'static str, &'static str)],
}

/// In the order of [`Engine`].
pub(super) static ROWS: [Row; 5] = [
    Row {
        engine: Engine::Vllm,
        prefix: "vllm:",
        waiting: &[metric("vllm:num_requests_waiting", &[])],
        running: &[metric("vllm:num_requests_running", &[])],
        kv_cache: &[
            metric("vllm:kv_cache_usage_perc", &[]),
            metric("vllm:gpu_cache_usage_perc", &[]),
        ],
        adapters: Some("vllm:lora_requests_info"),
        mirrors: &[],
    },
    Row {
        engine: Engine::Sglang,
        prefix: "sglang:",
        waiting: &[metric("sglang:num_queue_reqs", &[("priority", "")])],
        running: &[metric("sglang:num_running_reqs", &[("priority", "")])],
        kv_cache: &[metric("sglang:token_usage", &[])],
        adapters: None,
        mirrors: &["tp_rank", "pp_rank", "moe_ep_rank"],
    },
    Row {
        engine: Engine::TensorRtLlm,
        prefix: "trtllm_",
        waiting: &[metric("trtllm_num_requests_waiting", &[])],
        running: &[metric("trtllm_num_requests_running", &[])],
        kv_cache: &[metric("trtllm_kv_cache_utilization", &[])],
        adapters: None,
        mirrors: &[],
    },
    Row {
        engine: Engine::TritonTensorRtLlm,
        prefix: "nv_trt_llm_",
        waiting: &[metric("nv_trt_llm_request_metrics", &[("request_type", "waiting")])],
        running: &[metric("nv_trt_llm_request_metrics", &[("request_type", "scheduled")])],
        kv_cache: &[metric(
            "nv_trt_llm_kv_cache_block_metrics",
            &[("kv_cache_block_type", "fraction")],
        )],
        adapters: None,
        mirrors: &[],
    },
    Row {
        engine: Engine::Triton,
        prefix: "nv_inference_",
        waiting: &[metric("nv_inference_pending_request_count", &[])],
        running: &[],
        kv_cache: &[],
        adapters: None,
        mirrors: &[],
    },
];

const fn metric(name: &'static str, labels: &'static [(&'static str, &'static str)]) -> Metric {
    Metric { name, labels }
}
