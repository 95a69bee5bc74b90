//! Who can scrape `/metrics`: everybody, holders of the token in a file, or users that Kubernetes authorizes.
//!
//! Fails closed: a token that cannot be checked is refused.

mod kubernetes;
mod token;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

pub use kubernetes::{Kubernetes, Times};
pub use token::{TokenError, TokenFile};

/// Who can scrape.
pub enum Auth {
    /// Everybody.
    None,
    /// Holders of the token.
    Token(TokenFile),
    /// Users that Kubernetes authenticates and authorizes.
    Kubernetes(Box<Kubernetes>),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token is missing or invalid.
    Unauthorized,
    /// The token is valid, and its user has no permission.
    Forbidden,
    /// The token cannot be checked.
    Unavailable,
}

/// Middleware that lets authorized requests pass.
pub(super) async fn require(State(auth): State<Arc<Auth>>, request: Request, next: Next) -> Response {
    match auth.check(request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

// === impl Auth ===

impl Auth {
    async fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self {
            Self::None => Ok(()),
            Self::Token(file) => file.check(bearer(headers)?).await,
            Self::Kubernetes(kubernetes) => kubernetes.check(bearer(headers)?).await,
        }
    }
}

/// The bearer token (RFC 6750, section 2.1): one header, any case of `Bearer`, a token without blanks.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::Unauthorized);
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| is_token(token.as_bytes()))
        .ok_or(Refusal::Unauthorized)
}

/// Whether a header can hold the token: at least one byte, all of visible ASCII.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)
}

// === impl Refusal ===

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                let challenge = [(WWW_AUTHENTICATE, "Bearer")];
                (StatusCode::UNAUTHORIZED, challenge, "bearer token missing or invalid\n").into_response()
            }
            Self::Forbidden => (StatusCode::FORBIDDEN, "no permission to get /metrics\n").into_response(),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "the token cannot be checked now\n").into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[test]
    fn bearer_scheme_is_case_insensitive_and_blanks_are_trimmed() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc", "Bearer abc  "] {
            assert_eq!(bearer(&headers(&[value.as_bytes()])), Ok("abc"), "{value}");
        }
    }

    #[test]
    fn malformed_or_repeated_authorization_is_unauthorized() {
        let cases: [&[&[u8]]; 9] = [
            &[],
            &[b""],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Basic abc"],
            &[b"Bearer a b"],
            &[b"Bearerabc"],
            &[b"Bearer \xff"],
            &[b"Bearer abc", b"Bearer abc"],
        ];
        for values in cases {
            assert_eq!(bearer(&headers(values)), Err(Refusal::Unauthorized), "{values:?}");
        }
    }
}
