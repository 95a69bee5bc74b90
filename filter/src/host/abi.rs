//! The Proxy-Wasm ABI 0.2.1: the host functions that this filter imports, behind safe functions.
//!
//! The SDK for Rust is not used. Its dispatcher exports every callback of the ABI, so that Envoy enters the VM for those that
//! do nothing, and looks up each stream in several hash maps; and each value that it returns is a new allocation. Here the
//! values share one buffer, which is warm.
#![allow(
    unsafe_code,
    reason = "host functions, and an exported function that the host calls while it returns a value"
)]

use std::cell::Cell;
use std::ops::Deref;

/// A buffer larger than this is not kept.
const KEEP_BYTES: usize = 64 * 1024;

/// Results of host functions.
const OK: u32 = 0;
const CAS_MISMATCH: u32 = 8;

const CLOCK_MONOTONIC: u32 = 1;
/// In nanoseconds; Envoy ignores it.
const PRECISION: u64 = 1_000;

/// The headers of a message.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Headers {
    Request = 0,
    Response = 2,
}

/// A buffer of the current callback.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    PluginConfiguration = 7,
}

/// A kind of stat.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Metric {
    Counter = 0,
    Gauge = 1,
}

/// The level of a line in Envoy's log.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Level {
    Warn = 3,
    Critical = 5,
}

/// A value that a host function has returned. Its buffer is used again once it is dropped.
#[derive(Debug, Default)]
pub(super) struct Bytes(Vec<u8>);

thread_local! {
    /// The buffer that the host has allocated and not yet returned.
    static ALLOCATED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, size: usize, data: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        length: *mut usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        length: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, size: usize, version: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    /// Writes the time in nanoseconds to `time`.
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// The version of the ABI that this module is written for; the host looks for the name.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Allocates a buffer for a value that a host function is about to return: one for each call.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut buffer = SPARE.take();
    buffer.clear();
    buffer.reserve(size);
    let data = buffer.as_mut_ptr();
    ALLOCATED.set(buffer);
    data
}

// === impl Bytes ===

impl Bytes {
    /// The value that a host function has just returned; empty if it returned none.
    fn returned(data: *const u8, length: usize) -> Self {
        let mut buffer = ALLOCATED.take();
        if length == 0 || buffer.as_ptr() != data || buffer.capacity() < length {
            return Self(buffer);
        }
        // SAFETY: the host has written `length` bytes to this buffer, which has the capacity.
        unsafe { buffer.set_len(length) };
        Self(buffer)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.capacity() <= KEEP_BYTES {
            SPARE.set(buffer);
        }
    }
}

/// Calls a host function that returns a value; `None` if it fails.
fn value(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Bytes> {
    let (mut data, mut length) = (std::ptr::null_mut(), 0);
    let status = call(&raw mut data, &raw mut length);
    let bytes = Bytes::returned(data, length);
    (status == OK).then_some(bytes)
}

/// Writes a line to Envoy's log.
pub(super) fn log(level: Level, text: &str) {
    // SAFETY: the host reads the text.
    _ = unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Nanoseconds since an arbitrary start, which is the same for all workers. Proxy-Wasm's own clock is the system's, which can
/// jump.
pub(super) fn monotonic_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes eight bytes to the address, and `time` has them.
    _ = unsafe { clock_time_get(CLOCK_MONOTONIC, PRECISION, &raw mut time) };
    time
}

/// Makes the host call `proxy_on_tick` for the current root context.
pub(super) fn set_tick_period(milliseconds: u32) {
    // SAFETY: no pointers.
    _ = unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
}

/// A part of a buffer; empty if there is none.
pub(super) fn buffer(buffer: Buffer, start: usize, size: usize) -> Bytes {
    // SAFETY: the host writes a pointer and a size to the two addresses.
    value(|data, length| unsafe { proxy_get_buffer_bytes(buffer as u32, start, size, data, length) })
        .unwrap_or_default()
}

/// The first value of a header. Allowed only in the callback of these headers.
pub(super) fn header(headers: Headers, name: &str) -> Option<Bytes> {
    // SAFETY: the host reads the name, and writes a pointer and a size to the two addresses.
    value(|data, length| unsafe { proxy_get_header_map_value(headers as u32, name.as_ptr(), name.len(), data, length) })
}

/// A property. The parts of `path` are separated by a zero byte.
pub(super) fn property(path: &str) -> Option<Bytes> {
    // SAFETY: the host reads the path, and writes a pointer and a size to the two addresses.
    value(|data, length| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, length) })
}

/// Sets `wasm.NAME` in the stream's filter state.
pub(super) fn set_property(name: &str, value: &str) {
    // Fails only for a property declared read-only, and nothing declares these.
    // SAFETY: the host reads name and value.
    _ = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// A value in shared data and its version; `None` if the key has none.
pub(super) fn shared_data(key: &str) -> Option<(Bytes, u32)> {
    let mut version = 0;
    // SAFETY: the host reads the key, and writes a pointer, a size and a version to the three addresses.
    let bytes = value(|data, length| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, length, &raw mut version)
    })?;
    Some((bytes, version))
}

/// Writes a value if the key still has this version; returns whether it did.
pub(super) fn set_shared_data(key: &str, bytes: &[u8], version: u32) -> bool {
    // SAFETY: the host reads key and value.
    let status = unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), bytes.as_ptr(), bytes.len(), version) };
    status != CAS_MISMATCH
}

/// The handle of a stat, which is made if necessary.
pub(super) fn define_metric(kind: Metric, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads the name and writes the handle to the address.
    let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Adds to a stat. Fails only for an unknown handle, and all come from [`define_metric`].
pub(super) fn increment_metric(id: u32, delta: i64) {
    // SAFETY: no pointers.
    _ = unsafe { proxy_increment_metric(id, delta) };
}

/// Sets a gauge.
pub(super) fn record_metric(id: u32, value: u64) {
    // SAFETY: no pointers.
    _ = unsafe { proxy_record_metric(id, value) };
}

/// The value of a stat.
pub(super) fn metric(id: u32) -> u64 {
    let mut value = 0;
    // SAFETY: the host writes eight bytes to the address.
    _ = unsafe { proxy_get_metric(id, &raw mut value) };
    value
}
