//! A real Envoy beside which a test counts: after each exchange the metrics must be what was sent so far.

use std::net::SocketAddr;

use crate::capture::Answer;
use crate::envoy::{Binaries, Envoy, EnvoyConfig};
use crate::message::Message;
use crate::stats::Stats;
use crate::tally::{Exchange, Tally};
use crate::{Result, client};

/// A completion that the simulator answers with three prompt and four completion tokens.
pub const PROMPT: &[u8] = br#"{"model":"tiny","prompt":"a b c","max_tokens":4}"#;
/// The same, streamed: four events, one of usage, and the end marker.
pub const STREAM: &[u8] =
    br#"{"model":"tiny","prompt":"a b c","max_tokens":4,"stream":true,"stream_options":{"include_usage":true}}"#;
/// Where completions are asked for.
pub const COMPLETIONS: &str = "/v1/completions";

/// An Envoy and what it must tell.
#[derive(Debug)]
pub struct Counted {
    envoy: Envoy,
    tally: Tally,
}

/// A change of the configuration: the model `tiny` is known from the start, so that a request for it runs as soon as it
/// has been read.
///
/// # Errors
/// If the shipped list of models is not there.
pub fn tiny_admitted(config: EnvoyConfig) -> Result<EnvoyConfig> {
    config.replace(r#""models": []"#, r#""models": ["tiny"]"#)
}

// === impl Counted ===

impl Counted {
    /// Starts the shipped configuration, changed, with one worker in front of `upstream`.
    ///
    /// # Errors
    /// If Envoy does not come up.
    pub async fn start(upstream: SocketAddr, change: impl Fn(EnvoyConfig) -> Result<EnvoyConfig>) -> Result<Self> {
        Ok(Self {
            envoy: Envoy::start(&Binaries::from_env()?, upstream, 1, change).await?,
            tally: Tally::default(),
        })
    }

    /// The Envoy.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Where clients come in.
    pub fn listener(&self) -> SocketAddr {
        self.envoy.listener()
    }

    /// Sends one request over a connection of its own, and gives its answer.
    ///
    /// # Errors
    /// If none comes.
    pub async fn send(&self, path: &str, x_sim: &str, body: &[u8]) -> Result<Answer> {
        let request = client::request("POST", path, &[("x-sim", x_sim)], body);
        Ok(client::exchange(self.listener(), &request, usize::MAX).await?.answer)
    }

    /// There was this exchange, too: Envoy must tell exactly so, with nothing running any more.
    ///
    /// # Errors
    /// Says what differs.
    pub async fn count(&mut self, exchange: Exchange) -> Result<()> {
        self.add(exchange);
        self.hold().await
    }

    /// There was, or will be, this exchange, too.
    pub fn add(&mut self, exchange: Exchange) {
        self.tally.add(exchange);
    }

    /// Envoy must tell of all exchanges so far, with nothing running any more.
    ///
    /// # Errors
    /// Says what differs.
    pub async fn hold(&self) -> Result<()> {
        self.tally.hold(&self.envoy).await
    }

    /// Waits until so many requests are under way.
    ///
    /// # Errors
    /// If they never are.
    pub async fn running(&self, requests: u64) -> Result<()> {
        let running = |stats: &Stats| -> u64 {
            let gauges = stats
                .iter()
                .filter(|(series, _)| series.name == "inference_model_running_requests");
            gauges.map(|(_, value)| value).sum()
        };
        let check = |stats: &Stats| match running(stats) {
            seen if seen == requests => Ok(()),
            seen => Err(format!("{seen} requests are running, must be {requests}")),
        };
        self.envoy.scrape_until(check).await.map(drop)
    }

    /// No request has left any series of the guide's so far.
    ///
    /// # Errors
    /// Names one that is there.
    pub async fn nothing(&self) -> Result<()> {
        for series in self.envoy.scrape().await?.keys() {
            if series.name.contains("inference_model_") || series.name.contains("normalized_time") {
                return Err(format!("{series} is there").into());
            }
        }
        Ok(())
    }
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self {
            status: message.status(),
            whole: message.whole,
            headers: message.headers,
            body: message.body,
        }
    }
}
