//! Port numbers for processes that must know theirs before they start.
//!
//! A port that is bound, released and passed on is a race: in between, any listener on port 0 may get it. A [`Port`] is
//! out of their reach, because it is outside the range that the kernel assigns from, and out of the reach of other tests,
//! because a file lock of its number is held as long as any clone lives. The kernel releases the locks of a process that
//! dies.
//!
//! Processes that can should listen on port 0 instead and report their address.

use std::collections::hash_map::RandomState;
use std::fs::{File, Permissions, TryLockError};
use std::hash::BuildHasher as _;
use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Result;
use crate::envoy::loopback;

/// Ports to choose from. Below are those of the documents and of common services.
const ALL: RangeInclusive<u16> = 15_000..=65_535;
/// IANA's range, for systems that do not report theirs.
const DYNAMIC: RangeInclusive<u16> = 49_152..=65_535;
const EPHEMERAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// A TCP port on loopback that no other holder of a `Port` has, in this process or another.
#[derive(Clone, Debug)]
pub struct Port {
    number: u16,
    /// Locked; `None` for a port that was chosen otherwise.
    _lock: Option<Arc<File>>,
}

// === impl Port ===

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    /// If all are taken.
    pub fn reserve() -> Result<Self> {
        static RESERVED: AtomicUsize = AtomicUsize::new(0);
        let folder = folder();
        std::fs::create_dir_all(&folder)?;
        // For other users' tests, too. Only the folder's owner can do this, and has.
        _ = std::fs::set_permissions(&folder, Permissions::from_mode(0o1777));
        let candidates = candidates(ephemeral().unwrap_or(DYNAMIC));
        // Each process starts at a random place and continues from there, so that a released port is reused last.
        let start = RandomState::new().hash_one(std::process::id()) as usize;
        for _ in 0..candidates.len() {
            let next = RESERVED.fetch_add(1, Ordering::Relaxed);
            let at = start.wrapping_add(next) % candidates.len();
            if let Some(port) = candidates.get(at).and_then(|number| Self::lock(&folder, *number)) {
                return Ok(port);
            }
        }
        Err(format!(
            "none of {} ports can be reserved in {}",
            candidates.len(),
            folder.display()
        )
        .into())
    }

    /// A documented port, which is not reserved.
    pub const fn fixed(number: u16) -> Self {
        Self { number, _lock: None }
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address on loopback.
    pub fn address(&self) -> SocketAddr {
        loopback(self.number)
    }

    /// `None` if another holder has the port, or a process outside the tests listens on it.
    fn lock(folder: &Path, number: u16) -> Option<Self> {
        let path = folder.join(number.to_string());
        // A file of another user's can be locked, but not opened for writing.
        let file = File::open(&path)
            .or_else(|_| File::options().create(true).append(true).open(&path))
            .ok()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        TcpListener::bind(loopback(number)).ok()?;
        Some(Self {
            number,
            _lock: Some(Arc::new(file)),
        })
    }
}

/// The folder of the locked files; they are empty, and stay.
fn folder() -> PathBuf {
    std::env::temp_dir().join("infertally-ports")
}

/// The ports outside the range that the kernel assigns from; all where that leaves none.
fn candidates(ephemeral: RangeInclusive<u16>) -> Vec<u16> {
    let outside: Vec<_> = ALL.filter(|number| !ephemeral.contains(number)).collect();
    if outside.is_empty() { ALL.collect() } else { outside }
}

/// The range that the kernel assigns from, on Linux.
fn ephemeral() -> Option<RangeInclusive<u16>> {
    let text = std::fs::read_to_string(EPHEMERAL_RANGE).ok()?;
    let mut bounds = text.split_whitespace().map(str::parse);
    Some(bounds.next()?.ok()?..=bounds.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_outside_the_ephemeral_range() {
        let linux = candidates(32_768..=60_999);
        assert!(linux.contains(&15_000) && linux.contains(&32_767) && linux.contains(&61_000));
        assert!(!linux.contains(&32_768) && !linux.contains(&60_999));
        assert_eq!(candidates(1_024..=65_535).len(), ALL.count());
    }

    #[test]
    fn a_port_is_reserved_until_its_last_clone_is_dropped() {
        let port = Port::reserve().unwrap();
        let clone = port.clone();
        let number = port.number();
        drop(port);
        assert!(Port::lock(&folder(), number).is_none());
        drop(clone);
        assert!(Port::lock(&folder(), number).is_some());
    }

    #[test]
    fn a_port_on_which_a_process_listens_is_not_reserved() {
        let port = Port::reserve().unwrap();
        let _listener = TcpListener::bind(port.address()).unwrap();
        let number = port.number();
        drop(port);
        assert!(Port::lock(&folder(), number).is_none());
    }
}
