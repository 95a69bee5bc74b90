//! What a process has cost so far, as Linux tells it; and the clock.

use std::path::PathBuf;
use std::time::Instant;

use infertally_harness::Result;

/// CPU time of all threads of a process, nanoseconds. Exact while they sleep.
///
/// Of a thread that has ended nothing is left; Envoy's live as long as it.
pub(crate) fn cpu_ns(process: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(of(process).join("task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let time = text.split(' ').next().and_then(|time| time.parse::<u64>().ok());
        sum += time.ok_or_else(|| format!("schedstat holds {text:?}"))?;
    }
    Ok(sum)
}

/// Memory of a process that is in use, bytes.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(of(process).join("status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok());
    Ok(kilobytes.ok_or("no VmRSS in a process' status")? * 1024)
}

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "never built for wasm, and time is what is measured"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn of(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}
