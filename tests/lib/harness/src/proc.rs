//! The resources that a process uses, from Linux's /proc.

use std::time::Duration;

use crate::Result;

/// Linux counts a process's time in hundredths of a second (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// A process's use of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time so far, user and system.
    pub cpu: Duration,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open files.
    pub files: usize,
}

// === impl Usage ===

impl Usage {
    /// The current use of the process of this id.
    ///
    /// # Errors
    /// If there is no such process, or no /proc.
    pub fn of(id: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The second field is a name in brackets, which may contain anything.
        let (_, fields) = stat.rsplit_once(')').ok_or("stat lacks the name")?;
        let field = |index: usize| -> Result<u32> {
            Ok(fields
                .split_whitespace()
                .nth(index)
                .ok_or("stat lacks a field")?
                .parse()?)
        };
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .ok_or("status lacks VmRSS")?;
        Ok(Self {
            cpu: TICK * (field(11)? + field(12)?),
            resident_bytes: resident.trim().parse::<u64>()? * 1024,
            files: std::fs::read_dir(format!("/proc/{id}/fd"))?.count(),
        })
    }
}
