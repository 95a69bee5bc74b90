//! Continuous traffic for setups that run Envoy and the syncer elsewhere, and a health check for images that contain no other
//! HTTP client.

use std::net::SocketAddr;
use std::time::Duration;

use infertally_harness::Result;
use infertally_harness::client::get;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use crate::traffic::{Batch, faults, healthy};

/// Rounds between faults: about 2 % of the requests fail, which fires no alert.
const FAULTS_EVERY: u64 = 8;
/// Shorter than the timeout of a container's health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends traffic forever. A failed request is reported on stderr and does not stop it.
pub(crate) async fn send(to: &str, pause: Duration) {
    for round in 0_u64.. {
        let faulty = if round % FAULTS_EVERY == 0 {
            faults()
        } else {
            Vec::new()
        };
        for Batch { title, requests, .. } in healthy().into_iter().chain(faulty) {
            for request in requests {
                let sent = async { request.send(resolve(to).await?).await };
                if let Err(error) = sent.await {
                    eprintln!("{title}: {error}");
                }
                sleep(pause).await;
            }
        }
    }
}

/// Checks that a URL returns status 200.
///
/// # Errors
/// If it does not, or not in time.
pub(crate) async fn check(url: &str) -> Result<()> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url} is not a URL of the form http://HOST:PORT/PATH"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let page = async { get(resolve(authority).await?, &format!("/{path}")).await };
    timeout(CHECK_TIMEOUT, page)
        .await
        .map_err(|_| format!("no response from {url} within {} s", CHECK_TIMEOUT.as_secs()))??;
    Ok(())
}

async fn resolve(authority: &str) -> Result<SocketAddr> {
    let address = lookup_host(authority).await?.next();
    address.ok_or_else(|| format!("{authority} does not resolve to an address").into())
}
