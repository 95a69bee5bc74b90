//! The monotonic clock, through Envoy's WASI import. Proxy-Wasm's `get_current_time` is the system clock, which can jump.
#![allow(
    unsafe_code,
    reason = "a host function that no crate binds: the target is not WASI, so neither std nor the SDK has it"
)]

const CLOCK_MONOTONIC: u32 = 1;
/// In nanoseconds; Envoy ignores it.
const PRECISION: u64 = 1_000;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    /// Writes the time in nanoseconds to `time` and returns 0.
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// Nanoseconds since an arbitrary start, which is the same for all workers.
pub(super) fn monotonic_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes eight bytes to the address, and `time` has them.
    unsafe { clock_time_get(CLOCK_MONOTONIC, PRECISION, &mut time) };
    time
}
