//! The two reviews of a token.
//!
//! They are sent below kube's typed calls: those log a response that they cannot parse, and the response to a
//! TokenReview repeats the token.

use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::Resource as _;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{PostParams, Request};
use kube::client::Body;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::serve::auth::Refusal;

/// A user with thousands of groups fits.
const RESPONSE_BYTES: usize = 1024 * 1024;

/// Why a token opens nothing. No error repeats the token.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("token is not authenticated: {0}")]
    Unauthenticated(String),
    #[error("user {user:?} cannot get /metrics: {reason}")]
    Denied { user: String, reason: String },
    #[error("{0}: cannot be sent")]
    Send(&'static str, #[source] kube::Error),
    #[error("{0}: status {1}{hint}", hint = hint(*.1))]
    Status(&'static str, StatusCode),
    #[error("{0}: response truncated, over {RESPONSE_BYTES} bytes, or without a valid status")]
    Malformed(&'static str),
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "; the syncer's service account needs the ClusterRole system:auth-delegator",
        _ => "",
    }
}

// === impl ReviewError ===

impl ReviewError {
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Unauthenticated(_) => Refusal::Unauthorized,
            Self::Denied { .. } => Refusal::Forbidden,
            _ => Refusal::Unavailable,
        }
    }
}

/// Whether the token's user can get `/metrics`.
pub async fn review(client: &Client, token: &str) -> Result<(), ReviewError> {
    let user = authenticate(client, token).await?;
    authorize(client, user).await
}

async fn authenticate(client: &Client, token: &str) -> Result<UserInfo, ReviewError> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: None,
        },
        ..TokenReview::default()
    };
    let status = create(client, &review).await?.status;
    let status = status.ok_or(ReviewError::Malformed(TokenReview::KIND))?;
    let error = status.error.unwrap_or_default();
    if status.authenticated != Some(true) || !error.is_empty() {
        return Err(ReviewError::Unauthenticated(error.replace(token, "…")));
    }
    status
        .user
        .filter(|user| user.username.as_ref().is_some_and(|name| !name.is_empty()))
        .ok_or(ReviewError::Malformed(TokenReview::KIND))
}

async fn authorize(client: &Client, user: UserInfo) -> Result<(), ReviewError> {
    let spec = SubjectAccessReviewSpec {
        user: user.username.clone(),
        uid: user.uid,
        groups: user.groups,
        extra: user.extra,
        // The permission that the guide's ClusterRole grants; it counts for HEAD, too.
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some("/metrics".to_owned()),
            verb: Some("get".to_owned()),
        }),
        resource_attributes: None,
    };
    let review = SubjectAccessReview {
        spec,
        ..SubjectAccessReview::default()
    };
    let status = create(client, &review).await?.status;
    let status = status.ok_or(ReviewError::Malformed(SubjectAccessReview::KIND))?;
    if status.allowed && status.denied != Some(true) {
        return Ok(());
    }
    Err(ReviewError::Denied {
        user: user.username.unwrap_or_default(),
        reason: status.reason.or(status.evaluation_error).unwrap_or_default(),
    })
}

async fn create<T>(client: &Client, review: &T) -> Result<T, ReviewError>
where
    T: k8s_openapi::Resource + Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let sent = async {
        let body = serde_json::to_vec(review).map_err(kube::Error::SerdeError)?;
        let request = Request::new(T::url_path(&(), None)).create(&PostParams::default(), body);
        client
            .send(request.map_err(kube::Error::BuildRequest)?.map(Body::from))
            .await
    };
    let response = sent.await.map_err(|source| ReviewError::Send(T::KIND, source))?;
    if !response.status().is_success() {
        return Err(ReviewError::Status(T::KIND, response.status()));
    }
    let malformed = || ReviewError::Malformed(T::KIND);
    let body = Limited::new(response.into_body(), RESPONSE_BYTES).collect().await;
    serde_json::from_slice(&body.map_err(|_| malformed())?.to_bytes()).map_err(|_| malformed())
}
