//! The two reviews, as requests and answers.
//!
//! They are sent below kube's typed calls: those log an answer that they can't parse, and a TokenReview's answer
//! repeats the token.

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::client::Body;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A user with thousands of groups fits.
const ANSWER_BYTES: usize = 1024 * 1024;

/// What is reviewed: the guide's ClusterRole gives this right, for HEAD too.
const PATH: &str = "/metrics";
const VERB: &str = "get";

/// Why a review has no answer. None repeats anything of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("{review}: cannot be written")]
    Write {
        review: &'static str,
        source: serde_json::Error,
    },
    #[error("{review}: cannot be sent")]
    Send { review: &'static str, source: kube::Error },
    #[error("{review}: status {status}{hint}")]
    Status {
        review: &'static str,
        status: StatusCode,
        hint: &'static str,
    },
    #[error("{review}: the answer broke off, or has more than {ANSWER_BYTES} bytes")]
    Body { review: &'static str },
    #[error("{review}: the answer has no status that can be read")]
    Answer { review: &'static str },
}

/// Whose the token is, or why it is nobody's.
pub async fn user_of(client: &Client, token: &str) -> Result<Result<UserInfo, String>, ReviewError> {
    const REVIEW: &str = "TokenReview";
    let spec = TokenReviewSpec {
        token: token.to_owned(),
        audiences: None,
    };
    let review = TokenReview {
        spec,
        ..TokenReview::default()
    };
    let status = create(client, REVIEW, &review)
        .await?
        .status
        .ok_or(ReviewError::Answer { review: REVIEW })?;
    if status.authenticated != Some(true) || status.error.as_ref().is_some_and(|error| !error.is_empty()) {
        return Ok(Err(status.error.unwrap_or_default().replace(token, "…")));
    }
    let user = status
        .user
        .filter(|user| user.username.as_ref().is_some_and(|name| !name.is_empty()));
    user.map(Ok).ok_or(ReviewError::Answer { review: REVIEW })
}

/// Whether the user has the right, or why not.
pub async fn may_get_metrics(client: &Client, user: UserInfo) -> Result<Result<(), String>, ReviewError> {
    const REVIEW: &str = "SubjectAccessReview";
    let UserInfo {
        username,
        uid,
        groups,
        extra,
    } = user;
    let spec = SubjectAccessReviewSpec {
        user: username,
        uid,
        groups,
        extra,
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some(PATH.to_owned()),
            verb: Some(VERB.to_owned()),
        }),
        resource_attributes: None,
    };
    let review = SubjectAccessReview {
        spec,
        ..SubjectAccessReview::default()
    };
    let status = create(client, REVIEW, &review)
        .await?
        .status
        .ok_or(ReviewError::Answer { review: REVIEW })?;
    if status.allowed && status.denied != Some(true) {
        return Ok(Ok(()));
    }
    Ok(Err(status.reason.or(status.evaluation_error).unwrap_or_default()))
}

async fn create<T>(client: &Client, review: &'static str, body: &T) -> Result<T, ReviewError>
where
    T: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let body = serde_json::to_vec(body).map_err(|source| ReviewError::Write { review, source })?;
    let request = Request::post(T::url_path(&(), None))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|source| ReviewError::Send {
            review,
            source: kube::Error::HttpError(source),
        })?;
    let answer = client
        .send(request)
        .await
        .map_err(|source| ReviewError::Send { review, source })?;
    let status = answer.status();
    if !status.is_success() {
        let hint = if status == StatusCode::FORBIDDEN {
            " (have we the ClusterRole system:auth-delegator?)"
        } else {
            ""
        };
        return Err(ReviewError::Status { review, status, hint });
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|_| ReviewError::Body { review })?.to_bytes();
    serde_json::from_slice(&body).map_err(|_| ReviewError::Answer { review })
}
