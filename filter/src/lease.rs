//! What keeps a process-wide gauge equal to values in shared data, although VMs die and the process may sleep.
//!
//! A VM writes such a value under a lease that its heartbeat renews, by compare-and-swap only. Invariant: the gauge is
//! never below the sum of the values. It is raised before a value is written and lowered after, and no code that can trap
//! runs in between: names are defined and bytes encoded first.

use crate::shared::{SharedData, StatId, StatSink, Version};

/// Interval between two heartbeats, in nanoseconds.
pub const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A lease that is not renewed for this long has expired. Much longer than any pause of a live worker.
const LEASE_NS: u64 = 10 * HEARTBEAT_NS;

/// Changes of gauges.
pub(crate) type Deltas = Vec<(StatId, i64)>;

/// The value of a key that nobody holds.
pub(crate) const FREE: [u8; 0] = [];

/// Whether a lease has expired. `now_ns` is monotonic and the same clock in all VMs.
pub(crate) fn is_expired(renewed_ns: u64, now_ns: u64) -> bool {
    now_ns.saturating_sub(renewed_ns) > LEASE_NS
}

/// Writes a value over the version that was read, or creates the key if it had none, and changes the gauges; does neither
/// if another VM was faster.
pub(crate) fn write(
    key: &str,
    value: &[u8],
    read: Option<Version>,
    deltas: &[(StatId, i64)],
    host: &mut (impl SharedData + StatSink),
) -> bool {
    for (gauge, delta) in deltas.iter().filter(|(_, delta)| *delta > 0) {
        host.add(*gauge, *delta);
    }
    let written = match read {
        Some(version) => host.replace(key, value, version),
        None => host.create(key, value),
    };
    for (gauge, delta) in deltas {
        if written && *delta < 0 {
            host.add(*gauge, *delta);
        } else if !written && *delta > 0 {
            host.add(*gauge, -delta);
        }
    }
    written
}

/// A count as a change.
pub(crate) fn delta(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
