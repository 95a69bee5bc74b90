//! Proxy-Wasm host calls behind the filter's own traits.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{MapType, MetricType, Status};

use crate::exchange::{TerminatedBy, Termination};
use crate::shared::{SharedData, StatId, StatKind, StatSink, Version};

/// A version that no shared value has: Envoy counts versions from 1. Compare-and-swap against it succeeds only if the key
/// has no value yet, which is what `create` needs.
const NO_VERSION: Version = Version::MAX;
/// Bits of Envoy's `response.flags` that mean that the downstream ended the exchange: connection termination, protocol
/// error, remote reset.
const CLIENT_FLAGS: u64 = 0x4000 | 0x4_0000 | 0x1000_0000;

#[derive(Debug)]
pub(super) struct EnvoyHost;

// === impl EnvoyHost ===

impl SharedData for EnvoyHost {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)> {
        match hostcalls::get_shared_data(key) {
            // Envoy returns an empty value as no value, but with its version.
            Ok((value, Some(version))) => Some((value.unwrap_or_default(), version)),
            Ok((_, None)) | Err(_) => None,
        }
    }

    fn create(&mut self, key: &str, value: &[u8]) -> bool {
        self.replace(key, value, NO_VERSION)
    }

    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool {
        !matches!(
            hostcalls::set_shared_data(key, Some(value), Some(version)),
            Err(Status::CasMismatch)
        )
    }
}

impl StatSink for EnvoyHost {
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId> {
        let kind = match kind {
            StatKind::Counter => MetricType::Counter,
            StatKind::Gauge => MetricType::Gauge,
        };
        hostcalls::define_metric(kind, name).ok()
    }

    fn add(&mut self, stat: StatId, delta: i64) {
        // Fails only for an unknown handle, and this one came from `define`.
        _ = hostcalls::increment_metric(stat, delta);
    }

    fn set_gauge(&mut self, stat: StatId, value: u64) {
        _ = hostcalls::record_metric(stat, value);
    }

    fn gauge(&mut self, stat: StatId) -> u64 {
        hostcalls::get_metric(stat).unwrap_or_default()
    }
}

/// The first value of a header. Allowed only in the callback of these headers.
pub(super) fn header(map: MapType, name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(map, name).ok().flatten()
}

/// The status that the client received.
pub(super) fn status() -> Option<u16> {
    integer_property("code")
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| *code != 0)
}

/// How the exchange was terminated. Meaningful only if the response did not complete.
pub(super) fn termination() -> Termination {
    let status = status();
    let flags = integer_property("flags").unwrap_or_default();
    let by = match property("code_details").as_deref() {
        Some(b"internal_redirect") => TerminatedBy::Redirect,
        _ if flags & CLIENT_FLAGS != 0 => TerminatedBy::Client,
        // Every upstream failure sets a flag or specific details; some downstream resets set neither.
        None | Some(b"via_upstream") if flags == 0 => TerminatedBy::Client,
        _ => TerminatedBy::Upstream,
    };
    Termination { status, by }
}

/// Sets `wasm.NAME` in the stream's filter state. Envoy calls this filter's `on_log` before its access loggers, so a value
/// set there is still printed.
pub(super) fn set_filter_state(name: &str, value: &str) {
    // Fails only for a property declared read-only, and nothing declares these.
    _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// Size of this VM's linear memory, which only grows.
pub(super) fn memory_bytes() -> u64 {
    const PAGE_BYTES: u64 = 64 * 1024;
    core::arch::wasm32::memory_size::<0>() as u64 * PAGE_BYTES
}

/// Envoy encodes an integer property as eight little-endian bytes.
fn integer_property(name: &str) -> Option<u64> {
    property(name)?.as_slice().try_into().ok().map(u64::from_le_bytes)
}

/// An attribute of the plugin.
pub(super) fn plugin_property(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec![name]).ok().flatten()
}

/// The attribute `response.NAME`.
fn property(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["response", name]).ok().flatten()
}
