//! Waiting for the filter's heartbeats, with which the gauge of memory is updated.

use crate::envoy::Envoy;
use crate::stats::Stats;
use crate::{Result, client, eventually};

/// More than two heartbeats, in seconds of Envoy's own clock.
const SECONDS: u64 = 3;

/// Scrapes once every VM has had a heartbeat since the call.
///
/// # Errors
/// If Envoy can't be scraped.
pub async fn scrape_after_all(envoy: &Envoy) -> Result<Stats> {
    let start = uptime(envoy).await?;
    eventually(|| async {
        match uptime(envoy).await? - start {
            SECONDS.. => Ok(()),
            passed => Err(format!("{passed} seconds have passed").into()),
        }
    })
    .await?;
    envoy.scrape().await
}

/// Seconds since Envoy's start.
async fn uptime(envoy: &Envoy) -> Result<u64> {
    let page = client::get(envoy.admin(), "/server_info").await?;
    let info: serde_json::Value = serde_json::from_str(&page)?;
    let uptime = info.get("uptime_current_epoch").and_then(serde_json::Value::as_str);
    let seconds = uptime.and_then(|text| text.strip_suffix('s')?.parse().ok());
    Ok(seconds.ok_or("server_info has no uptime")?)
}
