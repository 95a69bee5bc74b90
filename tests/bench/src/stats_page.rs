//! What a scrape of Envoy costs.

use infertally_harness::Result;
use infertally_harness::client::get;
use infertally_harness::envoy::Envoy;

use crate::cost::{cpu_ns, now};
use crate::summary::Spread;

/// Requests per figure.
const REQUESTS: usize = 9;

/// The cost of a page.
#[derive(Clone, Copy, Debug)]
pub struct StatsPage {
    /// The median time of a request, in milliseconds.
    pub ms: f64,
    /// Envoy's CPU time per request, in milliseconds.
    pub cpu_ms: f64,
    /// The length of the page.
    pub bytes: usize,
}

// === impl StatsPage ===

impl StatsPage {
    /// Requests the page of an idle Envoy several times.
    pub(crate) async fn measure(envoy: &Envoy) -> Result<Self> {
        let mut bytes = 0;
        let mut times = Vec::new();
        let before = cpu_ns(envoy.process_id())?;
        for _ in 0..REQUESTS {
            let started = now();
            bytes = get(envoy.admin(), "/stats/prometheus").await?.len();
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let cpu = cpu_ns(envoy.process_id())?.saturating_sub(before);
        Ok(Self {
            ms: Spread::of(times).ok_or("no request")?.median,
            cpu_ms: cpu as f64 / 1e6 / REQUESTS as f64,
            bytes,
        })
    }
}
