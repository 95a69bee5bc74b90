//! The table of the role's metrics: the one place where they are described.

use crate::exposition::Metric;

pub(super) const STATUS: Metric = Metric::gauge(
    "lora_syncer_adapter_status",
    "Whether the server holds an adapter of the configuration, by its word at the last pass: 1 loaded, 0 not loaded or not known.",
);
pub(super) const DESIRED: Metric = Metric::gauge(
    "lora_syncer_adapter_desired",
    "Whether an adapter should be loaded: 1 in ensureExist, 0 in ensureNotExist; absent for one in both.",
);
pub(super) const INFO: Metric = Metric::gauge(
    "lora_syncer_adapter_info",
    "Always 1; tells why an adapter stands as it does, and where it is to be loaded from.",
);
pub(super) const OPERATIONS: Metric = Metric::counter(
    "lora_syncer_operations_total",
    "Requests to load, reload or unload an adapter, by result: ok or why not; a series is there from its first on.",
);
pub(super) const LAST_SUCCESS: Metric = Metric::gauge(
    "lora_syncer_last_success_timestamp_seconds",
    "When the server was last seen to hold what is configured, in seconds since 1970; absent until it does.",
);
pub(super) const CONFIG_VALID: Metric = Metric::gauge(
    "lora_syncer_config_valid",
    "Whether the configuration file, as it was last read, can be used; if not, the last good one stays in force.",
);
