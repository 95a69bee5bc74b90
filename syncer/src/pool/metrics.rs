//! The table of the pool's metrics.

use crate::exposition::Metric;

pub(super) const AVERAGE_KV_CACHE: Metric = Metric::gauge(
    "inference_pool_average_kv_cache_utilization",
    "Mean KV cache utilization, 0 to 1, of the pods that are ready and have fresh metrics; absent without such pods.",
);
pub(super) const AVERAGE_QUEUE: Metric = Metric::gauge(
    "inference_pool_average_queue_size",
    "Mean number of waiting requests of the pods that are ready and have fresh metrics; absent without such pods.",
);
pub(super) const AVERAGE_RUNNING: Metric = Metric::gauge(
    "inference_pool_average_running_requests",
    "Mean number of running requests of the pods that are ready and have fresh metrics; absent without such pods.",
);
pub(super) const POD_QUEUE: Metric = Metric::gauge(
    "inference_pool_per_pod_queue_size",
    "Waiting requests of a pod; absent while its metrics are not fresh.",
);
pub(super) const POD_RUNNING: Metric = Metric::gauge(
    "inference_pool_per_pod_running_requests",
    "Running requests of a pod; absent while its metrics are not fresh.",
);
pub(super) const POD_KV_CACHE: Metric = Metric::gauge(
    "inference_pool_per_pod_kv_cache_utilization",
    "KV cache utilization of a pod, 0 to 1; absent while its metrics are not fresh.",
);
pub(super) const POD_READY: Metric = Metric::gauge(
    "inference_pool_pod_ready",
    "1 for a pod that counts in inference_pool_ready_pods and, with fresh metrics, in the averages, else 0.",
);
pub(super) const SATURATION: Metric = Metric::gauge(
    "inference_pool_saturation",
    "Mean of the ready pods' saturation, 0 to 1: the larger of KV cache utilization and queue divided by --queue-limit.",
);
pub(super) const ROLE_AVERAGE_KV_CACHE: Metric = Metric::gauge(
    "inference_pool_role_average_kv_cache_utilization",
    "As inference_pool_average_kv_cache_utilization, of the pods of one role.",
);
pub(super) const ROLE_AVERAGE_QUEUE: Metric = Metric::gauge(
    "inference_pool_role_average_queue_size",
    "As inference_pool_average_queue_size, of the pods of one role.",
);
pub(super) const ROLE_AVERAGE_RUNNING: Metric = Metric::gauge(
    "inference_pool_role_average_running_requests",
    "As inference_pool_average_running_requests, of the pods of one role.",
);
pub(super) const ROLE_SATURATION: Metric = Metric::gauge(
    "inference_pool_role_saturation",
    "As inference_pool_saturation, of the pods of one role.",
);
pub(super) const ROLE_READY_PODS: Metric = Metric::gauge(
    "inference_pool_role_ready_pods",
    "Ready pods of one role; 0 once a role has none left.",
);
pub(super) const POD_ADAPTERS: Metric = Metric::gauge(
    "inference_pool_per_pod_adapters",
    "LoRA adapters of a pod's running or waiting requests, by state; absent for a pod that reports no adapters.",
);
pub(super) const POD_MAX_ADAPTERS: Metric = Metric::gauge(
    "inference_pool_per_pod_max_adapters",
    "LoRA adapters that a pod can run at the same time; absent for a pod that reports no adapters.",
);
pub(super) const POD_ADAPTER: Metric = Metric::gauge(
    "inference_pool_per_pod_adapter_info",
    "1 for a LoRA adapter of a pod's running or waiting requests, by state; limited to 64 adapters per pod and state.",
);
pub(super) const READY_PODS: Metric = Metric::gauge(
    "inference_pool_ready_pods",
    "Pods that are ready: in Kubernetes, by their Ready condition; for other sources, by fresh metrics.",
);
pub(super) const PODS: Metric = Metric::gauge(
    "inference_pool_pods",
    "Pods by state: ready (with fresh metrics), not_ready, stale (responds without readable metrics), unreachable.",
);
pub(super) const SCRAPE_DURATION: Metric = Metric::gauge(
    "inference_pool_scrape_duration_seconds",
    "Duration of the last scrape of a pod, successful or not.",
);
pub(super) const SCRAPE_ERRORS: Metric = Metric::counter(
    "inference_pool_scrape_errors_total",
    "Failed scrapes of a pod, by reason; absent until the first failure.",
);
pub(super) const SCRAPE_AGE: Metric = Metric::gauge(
    "inference_pool_last_scrape_age_seconds",
    "Time since the last successful scrape of a pod; absent until the first.",
);
pub(super) const DISCOVERY_AGE: Metric = Metric::gauge(
    "inference_pool_discovery_age_seconds",
    "How long discovery of pods has been failing, while the last known pods are kept; 0 while it works.",
);

// Served only with `--alias llm_d_epp`.
pub(super) const STD_DEV_KV_CACHE: Metric = Metric::gauge(
    "llm_d_epp_std_dev_kv_cache_utilization",
    "Sample standard deviation of the KV cache utilization of the pods that are ready and have fresh metrics; absent without such pods.",
);
pub(super) const STD_DEV_QUEUE: Metric = Metric::gauge(
    "llm_d_epp_std_dev_queue_size",
    "Sample standard deviation of the waiting requests of the pods that are ready and have fresh metrics; absent without such pods.",
);
pub(super) const STD_DEV_RUNNING: Metric = Metric::gauge(
    "llm_d_epp_std_dev_running_requests",
    "Sample standard deviation of the running requests of the pods that are ready and have fresh metrics; absent without such pods.",
);
