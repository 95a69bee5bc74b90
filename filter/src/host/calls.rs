//! Proxy-Wasm host calls behind the filter's own traits.

use super::abi::{self, Metric};
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
        abi::shared_data(key).map(|(value, version)| (value.to_vec(), version))
    }

    fn create(&mut self, key: &str, value: &[u8]) -> bool {
        self.replace(key, value, NO_VERSION)
    }

    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool {
        abi::set_shared_data(key, value, version)
    }
}

impl StatSink for EnvoyHost {
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId> {
        let kind = match kind {
            StatKind::Counter => Metric::Counter,
            StatKind::Gauge => Metric::Gauge,
        };
        abi::define_metric(kind, name)
    }

    fn add(&mut self, stat: StatId, delta: i64) {
        abi::increment_metric(stat, delta);
    }

    fn set_gauge(&mut self, stat: StatId, value: u64) {
        abi::record_metric(stat, value);
    }

    fn gauge(&mut self, stat: StatId) -> u64 {
        abi::metric(stat)
    }
}

/// The status that the client received.
pub(super) fn status() -> Option<u16> {
    integer_property("response\0code")
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| *code != 0)
}

/// How the exchange was terminated. Meaningful only if the response did not complete.
pub(super) fn termination() -> Termination {
    let status = status();
    let flags = integer_property("response\0flags").unwrap_or_default();
    let by = match abi::property("response\0code_details").as_deref() {
        Some(b"internal_redirect") => TerminatedBy::Redirect,
        _ if flags & CLIENT_FLAGS != 0 => TerminatedBy::Client,
        // Every upstream failure sets a flag or specific details; some downstream resets set neither.
        None | Some(b"via_upstream") if flags == 0 => TerminatedBy::Client,
        _ => TerminatedBy::Upstream,
    };
    Termination { status, by }
}

/// Size of this VM's linear memory, which only grows.
pub(super) fn memory_bytes() -> u64 {
    const PAGE_BYTES: u64 = 64 * 1024;
    core::arch::wasm32::memory_size::<0>() as u64 * PAGE_BYTES
}

/// Envoy encodes an integer property as eight little-endian bytes.
fn integer_property(path: &str) -> Option<u64> {
    let bytes = abi::property(path)?;
    bytes.first_chunk().copied().map(u64::from_le_bytes)
}
