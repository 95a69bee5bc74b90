//! What the syncer's tests and measurements share: [`Fleet`], pods that do with a scrape whatever a test wants;
//! [`Syncer`] and [`Prometheus`], the real binaries as processes of their own.

pub mod fleet;
pub mod mount;
pub mod page;
pub mod proc;
pub mod process;
pub mod prometheus;
pub mod promtool;
pub mod soak;
pub mod syncer;

pub use fleet::{Behaviour, Fleet, Pod};
pub use mount::Mount;
pub use prometheus::Prometheus;
pub use syncer::Syncer;

/// Anything that can go wrong in a test's tools.
pub type Result<T> = infertally_e2e::Result<T>;
