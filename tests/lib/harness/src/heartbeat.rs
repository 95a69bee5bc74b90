//! The filter's heartbeats as they can be seen from outside: some gauges follow with the next one only.

use crate::envoy::Envoy;
use crate::stats::{Series, Stats};
use crate::{Result, client};

/// Envoy's main thread has a VM, too, and it beats like a worker's.
const MAIN_THREAD: u64 = 1;

/// The filter's series once every VM has had a heartbeat since the call, in an Envoy with so many workers. `request` asks
/// for an answer that makes the model of this name a label value, as `admitted` others are already.
///
/// The next heartbeat of any VM tells of a new name. So names are made one after the other, as many as there are VMs:
/// either each is told by another VM, or one has told two, and between its beats every other has had its own.
///
/// # Errors
/// If a request has no answer, or a name is never told.
pub async fn of_every_vm(
    envoy: &Envoy,
    workers: u64,
    admitted: u64,
    request: impl Fn(&str) -> Vec<u8>,
) -> Result<Stats> {
    let gauge = Series::new("infertally_filter_admitted_models", &[]);
    for number in 1..=workers + MAIN_THREAD {
        let name = format!("heartbeat-{number}");
        client::exchange(envoy.listener(), &request(&name), usize::MAX).await?;
        let told = |stats: &Stats| match stats.get(&gauge) {
            Some(seen) if *seen == admitted + number => Ok(()),
            seen => Err(format!("{seen:?} names are admitted, must be {}", admitted + number)),
        };
        envoy.scrape_until(told).await?;
    }
    // The names are what a heartbeat tells first.
    envoy.scrape().await
}
