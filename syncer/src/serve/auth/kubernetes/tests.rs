use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;

const LONG: Times = Times {
    allowed: Duration::from_secs(600),
    refused: Duration::from_secs(600),
    unavailable: Duration::from_secs(600),
    patience: Duration::from_secs(600),
};

/// An API server to which every token that begins with `user` belongs to a user with permission.
async fn review(sent: &AtomicUsize, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
    let bytes = request.into_body().collect_bytes().await.unwrap();
    let mut review: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    review["status"] = match review["spec"]["token"].as_str() {
        Some(token) => {
            sent.fetch_add(1, Ordering::Relaxed);
            json!({"authenticated": token.starts_with("user"), "user": {"username": "prometheus"}})
        }
        None => json!({"allowed": true}),
    };
    Ok(Response::new(Body::from(review.to_string().into_bytes())))
}

/// A reviewer, and how many TokenReviews it has sent.
fn reviewer(times: Times) -> (Kubernetes, &'static AtomicUsize) {
    let sent: &'static AtomicUsize = Box::leak(Box::default());
    let client = Client::new(tower::service_fn(move |request| review(sent, request)), "default");
    (Kubernetes::new(client, times), sent)
}

async fn is_reviewed(kubernetes: &Kubernetes, sent: &AtomicUsize, token: &str) -> bool {
    let before = sent.load(Ordering::Relaxed);
    _ = kubernetes.check(token).await;
    sent.load(Ordering::Relaxed) > before
}

#[tokio::test]
async fn each_outcome_is_cached_for_its_token() {
    let (kubernetes, sent) = reviewer(LONG);
    for _ in 0..3 {
        assert_eq!(kubernetes.check("user").await, Ok(()));
        assert_eq!(kubernetes.check("guess").await, Err(Refusal::Unauthorized));
    }
    assert_eq!(sent.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_expired_outcome_is_reviewed_again() {
    let (kubernetes, sent) = reviewer(Times {
        allowed: Duration::ZERO,
        refused: Duration::ZERO,
        ..LONG
    });
    for token in ["user", "guess"] {
        assert!(is_reviewed(&kubernetes, sent, token).await);
        assert!(is_reviewed(&kubernetes, sent, token).await);
    }
}

#[tokio::test]
async fn guessed_tokens_evict_no_permission() {
    let (kubernetes, sent) = reviewer(LONG);
    assert_eq!(kubernetes.check("user").await, Ok(()));
    for guess in 0..3 * CACHED_TOKENS {
        assert_eq!(
            kubernetes.check(&format!("guess {guess}")).await,
            Err(Refusal::Unauthorized)
        );
    }
    kubernetes.refused.run_pending_tasks().await;
    assert!(kubernetes.refused.entry_count() <= CACHED_TOKENS);
    assert!(!is_reviewed(&kubernetes, sent, "user").await);
}

#[tokio::test]
async fn permissions_are_bounded_and_the_newest_stay() {
    let (kubernetes, sent) = reviewer(LONG);
    for user in 0..=CACHED_TOKENS {
        assert_eq!(kubernetes.check(&format!("user {user}")).await, Ok(()));
    }
    kubernetes.allowed.run_pending_tasks().await;
    assert_eq!(kubernetes.allowed.entry_count(), CACHED_TOKENS);
    assert!(!is_reviewed(&kubernetes, sent, &format!("user {CACHED_TOKENS}")).await);
}
