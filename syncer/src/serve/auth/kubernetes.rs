//! Authentication and authorization by Kubernetes: a TokenReview returns the token's user, a SubjectAccessReview
//! whether that user can get `/metrics`, as for `kubectl get --raw`. The syncer's own service account needs the
//! ClusterRole `system:auth-delegator`.
//!
//! Outcomes are cached by the token's hash; the token itself is neither kept nor logged.

mod review;

use std::time::Duration;

use kube::Client;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Refusal;
use crate::error_chain;

/// A permission that is revoked counts for so long. controller-runtime, whose filter the guide's reference uses, caches
/// TokenReviews for a minute, too.
const ALLOWED: Duration = Duration::from_secs(60);

/// Short, so that a permission that was just granted counts soon.
const REFUSED: Duration = Duration::from_secs(10);

/// Just enough for many concurrent requests to send one review to an API server that fails.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// Half of Prometheus' default scrape timeout.
const PATIENCE: Duration = Duration::from_secs(5);

/// Concurrent reviews that one syncer sends to the API server, however many made-up tokens arrive.
const REVIEWS: usize = 8;

/// Few scrapers have a token; the rest is for clients that guess.
const CACHED_TOKENS: u64 = 1024;

/// How long each outcome of a review is cached, and how long a request waits for it.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a token whose user has permission.
    pub allowed: Duration,
    /// For an invalid token, or a user without permission.
    pub refused: Duration,
    /// For a token that could not be reviewed.
    pub unavailable: Duration,
    /// How long a request waits for both reviews together.
    pub patience: Duration,
}

/// Reviews by an API server, cached.
pub struct Kubernetes {
    client: Client,
    patience: Duration,
    reviews: Semaphore,
    /// Apart from the refusals, so that guessed tokens evict no scraper's.
    allowed: ReviewCache<()>,
    refused: ReviewCache<Refusal>,
    unavailable: ReviewCache<Refusal>,
}

/// By SHA-256 of the token.
type ReviewCache<V> = Cache<Vec<u8>, V>;

// === impl Times ===

impl Default for Times {
    fn default() -> Self {
        Self {
            allowed: ALLOWED,
            refused: REFUSED,
            unavailable: UNAVAILABLE,
            patience: PATIENCE,
        }
    }
}

// === impl Kubernetes ===

impl Kubernetes {
    /// Sends reviews to the client's API server, as the client's user.
    pub fn new(client: Client, times: Times) -> Self {
        Self {
            client,
            patience: times.patience,
            reviews: Semaphore::new(REVIEWS),
            allowed: cache(times.allowed),
            refused: cache(times.refused),
            unavailable: cache(times.unavailable),
        }
    }

    /// Whether the token's user can get `/metrics`. Concurrent requests with one token share one review.
    pub(super) async fn check(&self, token: &str) -> Result<(), Refusal> {
        let hash = digest(&SHA256, token.as_bytes());
        let review = self.cached_refusal_or_review(hash.as_ref(), token);
        let outcome = self.allowed.try_get_with_by_ref(hash.as_ref(), review);
        // When the client whose request sent the review disconnects, another request sends it again, and waits no
        // longer for that.
        match timeout(self.patience, outcome).await {
            Ok(outcome) => outcome.map_err(|refusal| *refusal),
            Err(_) => Err(Refusal::Unavailable),
        }
    }

    async fn cached_refusal_or_review(&self, hash: &[u8], token: &str) -> Result<(), Refusal> {
        for refusals in [&self.refused, &self.unavailable] {
            if let Some(refusal) = refusals.get(hash).await {
                return Err(refusal);
            }
        }
        let refusal = match timeout(self.patience, self.review(token)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                warn!(timeout = ?self.patience, "the API server did not respond in time; replying to the scrape with 503");
                Refusal::Unavailable
            }
        };
        let refusals = if refusal == Refusal::Unavailable {
            &self.unavailable
        } else {
            &self.refused
        };
        refusals.insert(hash.to_vec(), refusal).await;
        Err(refusal)
    }

    async fn review(&self, token: &str) -> Result<(), Refusal> {
        let _permit = self.reviews.acquire().await.map_err(|_| Refusal::Unavailable)?;
        review::review(&self.client, token).await.map_err(|error| {
            let refusal = error.refusal();
            if refusal == Refusal::Unavailable {
                warn!(
                    error = error_chain(&error),
                    "review failed; replying to the scrape with 503"
                );
            } else {
                debug!(error = error_chain(&error), "scrape refused");
            }
            refusal
        })
    }
}

fn cache<V: Clone + Send + Sync + 'static>(keep: Duration) -> ReviewCache<V> {
    Cache::builder()
        .max_capacity(CACHED_TOKENS)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_live(keep)
        .build()
}

#[cfg(test)]
mod tests;
