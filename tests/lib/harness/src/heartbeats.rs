//! Waiting for the filter's heartbeats, with which some of its gauges are updated.

use crate::envoy::Envoy;
use crate::stats::{Series, Stats};
use crate::{Result, client};

/// Envoy's main thread has a VM, too, with heartbeats like a worker's.
const MAIN_THREAD: u64 = 1;

/// Scrapes once every VM of an Envoy with this many workers has had a heartbeat. `request` makes a request whose 2xx
/// response admits the model of this name; `admitted` names are admitted already.
///
/// A new name is published by the next heartbeat of any VM. So there is one name for each VM, one after the other: either
/// each was published by another VM, or some VM published two, and in between every other one had a heartbeat, too.
///
/// # Errors
/// If a request has no response, or a name is never published.
pub async fn scrape_after_all(
    envoy: &Envoy,
    workers: u64,
    admitted: u64,
    request: impl Fn(&str) -> Vec<u8>,
) -> Result<Stats> {
    let gauge = Series::new("infertally_filter_admitted_models", &[]);
    for number in 1..=workers + MAIN_THREAD {
        let name = format!("heartbeat-{number}");
        client::exchange(envoy.listener(), &request(&name), usize::MAX).await?;
        let is_published = |stats: &Stats| match stats.get(&gauge) {
            Some(seen) if *seen == admitted + number => Ok(()),
            seen => Err(format!("{seen:?} names are admitted, must be {}", admitted + number)),
        };
        envoy.scrape_until(is_published).await?;
    }
    // A heartbeat publishes the names before the other gauges.
    envoy.scrape().await
}
