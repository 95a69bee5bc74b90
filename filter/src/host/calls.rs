//! Proxy-Wasm's calls as the rest of the filter wants them.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{MapType, MetricType, Status};

use crate::exchange::{TerminatedBy, Termination};
use crate::shared::{SharedData, StatId, StatKind, StatSink, Version};

/// No version that a shared value can have: Envoy counts them up from 1. Asking to replace it succeeds only where the
/// key has no value yet, which is what `create` wants.
const NO_VERSION: Version = Version::MAX;
/// Envoy's response flags (`response.flags`) of an exchange that ended on the client's side: its connection ended, it broke
/// the protocol, or it reset its stream.
const CLIENT_FLAGS: u64 = 0x4000 | 0x4_0000 | 0x1000_0000;

/// The Envoy that runs this filter.
#[derive(Debug)]
pub(super) struct EnvoyHost;

// === impl EnvoyHost ===

impl SharedData for EnvoyHost {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)> {
        match hostcalls::get_shared_data(key) {
            // Envoy gives an empty value as none at all, but with its version.
            Ok((value, Some(version))) => Some((value.unwrap_or_default(), version)),
            Ok((_, None)) | Err(_) => None,
        }
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        // Without a version it can't be refused.
        _ = hostcalls::set_shared_data(key, Some(value), None);
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
        // The handle came from `define`, so there is nothing to refuse.
        _ = hostcalls::increment_metric(stat, delta);
    }

    fn set_gauge(&mut self, stat: StatId, value: u64) {
        _ = hostcalls::record_metric(stat, value);
    }

    fn gauge(&mut self, stat: StatId) -> u64 {
        hostcalls::get_metric(stat).unwrap_or_default()
    }
}

/// One header. Only in the callback of its headers.
pub(super) fn header(map: MapType, name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(map, name).ok().flatten()
}

/// How an exchange ended whose answer did not come to its end.
pub(super) fn ending() -> Termination {
    let status = integer_property("code")
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| *code != 0);
    let flags = integer_property("flags").unwrap_or_default();
    let side = match property("code_details").as_deref() {
        Some(b"internal_redirect") => TerminatedBy::Redirect,
        _ if flags & CLIENT_FLAGS != 0 => TerminatedBy::Client,
        // Whatever breaks on the server's side has a flag, or details of its own; some of a client's resets have neither.
        None | Some(b"via_upstream") if flags == 0 => TerminatedBy::Client,
        _ => TerminatedBy::Server,
    };
    Termination { status, side }
}

/// Leaves a text in the exchange's filter state, under `wasm.` and this name. At the end of the exchange, where Envoy
/// calls this filter before its access loggers.
pub(super) fn set_filter_state(name: &str, value: &str) {
    // The name is nobody else's and was not declared read-only, so there is nothing to refuse.
    _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// The memory that this VM has taken. It never gives any back.
pub(super) fn memory_bytes() -> u64 {
    const PAGE_BYTES: u64 = 64 * 1024;
    core::arch::wasm32::memory_size::<0>() as u64 * PAGE_BYTES
}

/// Envoy writes an integer as eight bytes in the machine's own order, which is little-endian for Wasm.
fn integer_property(name: &str) -> Option<u64> {
    property(name)?.as_slice().try_into().ok().map(u64::from_le_bytes)
}

/// An attribute of the answer, as Envoy knows it.
fn property(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_property(vec!["response", name]).ok().flatten()
}
