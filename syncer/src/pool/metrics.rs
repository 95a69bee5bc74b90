//! The table of the pool's metrics: the one place where they are described.

use crate::exposition::Metric;

pub(super) const AVERAGE_KV_CACHE: Metric = Metric::gauge(
    "inference_pool_average_kv_cache_utilization",
    "Mean share of the KV cache in use, 0 to 1, over the pods whose load is known; absent where none is.",
);
pub(super) const AVERAGE_QUEUE: Metric = Metric::gauge(
    "inference_pool_average_queue_size",
    "Mean number of waiting requests over the pods whose load is known; absent where none is.",
);
pub(super) const AVERAGE_RUNNING: Metric = Metric::gauge(
    "inference_pool_average_running_requests",
    "Mean number of running requests over the pods whose load is known; absent where none is.",
);
pub(super) const POD_QUEUE: Metric = Metric::gauge(
    "inference_pool_per_pod_queue_size",
    "Requests that wait in a pod; absent while its load is not known.",
);
pub(super) const POD_RUNNING: Metric = Metric::gauge(
    "inference_pool_per_pod_running_requests",
    "Requests that run in a pod; absent while its load is not known.",
);
pub(super) const POD_KV_CACHE: Metric = Metric::gauge(
    "inference_pool_per_pod_kv_cache_utilization",
    "Share of a pod's KV cache in use, 0 to 1; absent while its load is not known.",
);
pub(super) const POD_ADAPTERS: Metric = Metric::gauge(
    "inference_pool_per_pod_adapters",
    "LoRA adapters in use in a pod by state: running, waiting, or both; absent for a pod that says nothing of adapters.",
);
pub(super) const POD_MAX_ADAPTERS: Metric = Metric::gauge(
    "inference_pool_per_pod_max_adapters",
    "LoRA adapters that a pod can run at a time; absent for a pod that says nothing of adapters.",
);
pub(super) const POD_ADAPTER: Metric = Metric::gauge(
    "inference_pool_per_pod_adapter_info",
    "1 for a LoRA adapter that requests use (running) or wait for (waiting) in a pod; at most 64 of a pod's and a state.",
);
pub(super) const READY_PODS: Metric = Metric::gauge(
    "inference_pool_ready_pods",
    "Pods that are ready: by Kubernetes' word, or, for targets given otherwise, those whose load is known.",
);
pub(super) const PODS: Metric = Metric::gauge(
    "inference_pool_pods",
    "Pods by state: ready (and its load known), not_ready, stale (answers, but not with a load), unreachable.",
);
pub(super) const SCRAPE_DURATION: Metric = Metric::gauge(
    "inference_pool_scrape_duration_seconds",
    "How long the last attempt to read a pod's metrics took.",
);
pub(super) const SCRAPE_ERRORS: Metric = Metric::counter(
    "inference_pool_scrape_errors_total",
    "Attempts to read a pod's metrics that failed, by reason; a series is there from its first failure on.",
);
pub(super) const SCRAPE_AGE: Metric = Metric::gauge(
    "inference_pool_last_scrape_age_seconds",
    "Time since a pod's metrics were last read; absent until they are.",
);
pub(super) const DISCOVERY_AGE: Metric = Metric::gauge(
    "inference_pool_discovery_age_seconds",
    "How long the source of the pool's pods has been failing, the last known ones being kept; 0 while it does not.",
);
