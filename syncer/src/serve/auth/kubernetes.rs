//! Kubernetes decides: a TokenReview says whose the token is, a SubjectAccessReview whether that user may get
//! `/metrics`, as for `kubectl get --raw`. Our own service account needs the ClusterRole `system:auth-delegator`.
//!
//! Answers are kept for a short time by the token's hash; the token itself is neither kept nor logged.

mod answers;
mod review;

use std::time::Duration;

use kube::Client;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Refusal;
use crate::error_chain;
use crate::serve::hash::sha256;
use answers::Answers;
use review::ReviewError;

/// A right that is taken away counts for so long yet. controller-runtime, whose filter the guide's reference uses,
/// takes a minute for the token too.
const ALLOWED: Duration = Duration::from_secs(60);

/// Short, so that a right that was just given is seen soon.
const REFUSED: Duration = Duration::from_secs(10);

/// Just so long that many requests together ask a sick API server once.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// Half of Prometheus' default patience with a scrape.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one syncer may ask of the API server at a time, though a thousand made-up tokens come.
const REVIEWS: usize = 8;

/// For how long each answer is kept, and waited for.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For how long a token that may read is not asked about again.
    pub allowed: Duration,
    /// The same for one that may not.
    pub refused: Duration,
    /// The same for one that could not be asked about.
    pub unavailable: Duration,
    /// For how long a request waits for the API server, both reviews together.
    pub patience: Duration,
}

/// Asks an API server.
pub struct Kubernetes {
    client: Client,
    times: Times,
    answers: Answers,
    /// Places for reviews under way.
    reviews: Semaphore,
}

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
    /// Asks the client's API server, as the client's user.
    pub fn new(client: Client, times: Times) -> Self {
        Self {
            client,
            times,
            answers: Answers::default(),
            reviews: Semaphore::new(REVIEWS),
        }
    }

    /// Whether the bearer of the token may get `/metrics`. Requests with one token ask once.
    pub(super) async fn check(&self, token: &str) -> Result<(), Refusal> {
        let slot = self.answers.slot(sha256(token.as_bytes()));
        let asked = slot.get_or_ask(async || {
            let answer = timeout(self.times.patience, self.ask(token)).await.unwrap_or_else(|_| {
                warn!(patience = ?self.times.patience, "the API server did not answer in time");
                Err(Refusal::Unavailable)
            });
            (answer, self.keep(answer))
        });
        // Who asks may go away, and leave the asking to the next: no request waits longer for that.
        timeout(self.times.patience, asked)
            .await
            .unwrap_or(Err(Refusal::Unavailable))
    }

    fn keep(&self, answer: Result<(), Refusal>) -> Duration {
        match answer {
            Ok(()) => self.times.allowed,
            Err(Refusal::Unauthorized | Refusal::Forbidden) => self.times.refused,
            Err(Refusal::Unavailable) => self.times.unavailable,
        }
    }

    async fn ask(&self, token: &str) -> Result<(), Refusal> {
        let Ok(_place) = self.reviews.acquire().await else {
            return Err(Refusal::Unavailable);
        };
        let user = match review::user_of(&self.client, token).await {
            Ok(Ok(user)) => user,
            Ok(Err(why)) => {
                debug!(why, "a token that is not known");
                return Err(Refusal::Unauthorized);
            }
            Err(error) => return Err(unavailable(&error)),
        };
        let name = user.username.clone();
        match review::may_get_metrics(&self.client, user).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                debug!(user = name, why, "a user without the right to get /metrics");
                Err(Refusal::Forbidden)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn unavailable(error: &ReviewError) -> Refusal {
    warn!(error = error_chain(error), "nobody new can read /metrics");
    Refusal::Unavailable
}
