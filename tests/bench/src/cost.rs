//! CPU time and memory of a process, from Linux' `/proc`; and the clock.

use std::path::PathBuf;
use std::time::Instant;

use infertally_harness::Result;

/// The CPU time of all threads of a process, in nanoseconds. Exact while they sleep.
///
/// Threads that have ended are not included; Envoy's threads live as long as the process.
pub(crate) fn cpu_ns(process: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(proc_directory(process).join("task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let time = text.split(' ').next().and_then(|time| time.parse::<u64>().ok());
        sum += time.ok_or_else(|| format!("invalid schedstat: {text:?}"))?;
    }
    Ok(sum)
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(proc_directory(process).join("status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok());
    Ok(kilobytes.ok_or("no VmRSS in /proc/<pid>/status")? * 1024)
}

#[expect(
    clippy::disallowed_methods,
    reason = "never built for wasm, and time is what is measured"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn proc_directory(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}
