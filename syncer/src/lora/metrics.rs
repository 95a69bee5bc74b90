//! The table of the role's metrics: name, kind and help of each, in one place.

use crate::exposition::Metric;

pub(super) const STATUS: Metric = Metric::gauge(
    "lora_syncer_adapter_status",
    "Whether every model server reported the configured adapter as loaded at its last poll: 1 loaded, 0 not loaded or unknown.",
);
pub(super) const DESIRED: Metric = Metric::gauge(
    "lora_syncer_adapter_desired",
    "Whether the adapter should be loaded: 1 listed in ensureExist, 0 listed in ensureNotExist; absent if listed in both.",
);
pub(super) const INFO: Metric = Metric::gauge(
    "lora_syncer_adapter_info",
    "Always 1; the reason for the adapter's status, and the source it should be loaded from.",
);
pub(super) const OPERATIONS: Metric = Metric::counter(
    "lora_syncer_operations_total",
    "Requests to load, reload, restore or unload an adapter, by result: ok or the reason for the failure; a series starts with its first request.",
);
pub(super) const LAST_SUCCESS: Metric = Metric::gauge(
    "lora_syncer_last_success_timestamp_seconds",
    "Unix time of the last poll at which all adapters were as configured on every server; absent until then.",
);
pub(super) const CONFIG_VALID: Metric = Metric::gauge(
    "lora_syncer_config_valid",
    "Whether the configuration file was valid when last read: 1 valid, 0 invalid; while it is invalid, the last valid configuration stays in effect.",
);
