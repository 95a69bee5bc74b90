//! The demo's traffic without end, at a pace, for whoever runs the rest elsewhere; and a look whether a page answers, for
//! images that hold no other client.

use std::net::SocketAddr;
use std::time::Duration;

use infertally_harness::Result;
use infertally_harness::client::get;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use crate::traffic::{Sent, faulty, well};

/// Faults come with every so many rounds, so that some 2 % of the requests fail: not enough to alert anybody.
const FAULTS_EVERY: u64 = 8;
/// A health check must know soon.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// Sends until it is told to end. Who answers may come and go; what fails is told.
pub(crate) async fn send(to: &str, pause: Duration) {
    for round in 0_u64.. {
        let faults = if round % FAULTS_EVERY == 0 {
            faulty()
        } else {
            Vec::new()
        };
        for Sent { title, requests, .. } in well().into_iter().chain(faults) {
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

/// Whether a page of `http://host:port/path` answers with 200.
///
/// # Errors
/// If it does not, in time.
pub(crate) async fn check(url: &str) -> Result<()> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("not of the form http://HOST:PORT/PATH")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let page = async { get(resolve(authority).await?, &format!("/{path}")).await };
    timeout(CHECK_WITHIN, page).await.map_err(|_| "no answer")??;
    Ok(())
}

async fn resolve(authority: &str) -> Result<SocketAddr> {
    let address = lookup_host(authority).await?.next();
    address.ok_or_else(|| format!("{authority}: no address").into())
}
