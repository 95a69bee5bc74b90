//! [`Pool`], the state of the pool's pods, and the gauges computed from it. Pure: targets, scrapes and times in, families
//! out.
//!
//! One task writes a [`Pool`]; a clone is a snapshot for any number of readers and shares all large parts. Whether a value
//! is fresh is decided when families are requested, so values become stale without an event.

mod gauges;
mod metrics;
mod pools;
mod ready;
mod state;

pub use pools::Pools;
pub use state::{Pool, Settings};

#[cfg(test)]
mod tests;
