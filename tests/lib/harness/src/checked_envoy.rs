//! A real Envoy whose metrics a test checks after each exchange against the totals of all exchanges so far.

use std::net::SocketAddr;
use std::ops::Deref;

use infertally_oracle::capture::Response;
use infertally_oracle::stats::{Stats, total};
use infertally_oracle::{Measured, Totals};

use crate::envoy::{Binaries, Envoy, EnvoyConfig};
use crate::{Result, client};

/// A completion; the simulator responds with three prompt and four completion tokens.
pub const PROMPT: &[u8] = br#"{"model":"tiny","prompt":"a b c","max_tokens":4}"#;
/// The same as a stream: four events, one of usage, and the end marker.
pub const STREAM: &[u8] =
    br#"{"model":"tiny","prompt":"a b c","max_tokens":4,"stream":true,"stream_options":{"include_usage":true}}"#;
/// The path of both.
pub const COMPLETIONS: &str = "/v1/completions";

/// An Envoy and the totals of its exchanges.
#[derive(Debug)]
pub struct CheckedEnvoy {
    envoy: Envoy,
    totals: Totals,
}

/// Configures the model `tiny`, so that a request for it runs as soon as its body was read.
///
/// # Errors
/// If the shipped list of models is missing.
pub fn tiny_admitted(config: EnvoyConfig) -> Result<EnvoyConfig> {
    config.replace(r#""models": []"#, r#""models": ["tiny"]"#)
}

// === impl CheckedEnvoy ===

impl CheckedEnvoy {
    /// Starts the shipped configuration, changed by `change`, with one worker in front of `upstream`.
    ///
    /// # Errors
    /// If Envoy does not become ready.
    pub async fn start(upstream: SocketAddr, change: impl Fn(EnvoyConfig) -> Result<EnvoyConfig>) -> Result<Self> {
        Ok(Self {
            envoy: Envoy::start(&Binaries::from_env()?, upstream, 1, change).await?,
            totals: Totals::default(),
        })
    }

    /// `POST`s a body over a connection of its own. `x_sim` is the simulator's behaviour.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn send(&self, path: &str, x_sim: &str, body: &[u8]) -> Result<Response> {
        let request = client::request("POST", path, &[("x-sim", x_sim)], body);
        Ok(client::exchange(self.listener(), &request, usize::MAX).await?.response)
    }

    /// Adds an exchange to the totals, which Envoy must then show.
    ///
    /// # Errors
    /// The difference.
    pub async fn check_after(&mut self, measured: Measured) -> Result<()> {
        self.add(measured);
        self.check().await
    }

    /// Adds an exchange to the totals.
    pub fn add(&mut self, measured: Measured) {
        self.totals.add(measured);
    }

    /// Envoy must show the totals, with nothing running, and still show them in the next scrape.
    ///
    /// # Errors
    /// The difference.
    pub async fn check(&self) -> Result<()> {
        self.envoy.scrape_until(|stats| self.totals.check(stats)).await?;
        Ok(self.totals.check(&self.envoy.scrape().await?)?)
    }

    /// Waits until this many requests are running.
    ///
    /// # Errors
    /// If they never are.
    pub async fn wait_for_running(&self, requests: u64) -> Result<()> {
        let check = |stats: &Stats| match total(stats, "inference_model_running_requests") {
            seen if seen == requests => Ok(()),
            seen => Err(format!("{seen} requests are running, must be {requests}")),
        };
        self.envoy.scrape_until(check).await.map(drop)
    }

    /// Checks that there is no series of an exchange.
    ///
    /// # Errors
    /// Names one.
    pub async fn check_no_series(&self) -> Result<()> {
        for series in self.envoy.scrape().await?.keys() {
            if series.name.contains("inference_model_") || series.name.contains("normalized_time") {
                return Err(format!("there is {series}").into());
            }
        }
        Ok(())
    }
}

impl Deref for CheckedEnvoy {
    type Target = Envoy;

    fn deref(&self) -> &Envoy {
        &self.envoy
    }
}
