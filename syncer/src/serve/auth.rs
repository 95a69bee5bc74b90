//! Who may read `/metrics`: everyone, who has the token of a file, or whom Kubernetes lets.
//!
//! Never open by failure: what can't be asked or read is a refusal.

mod kubernetes;
mod token;

use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use kubernetes::{Kubernetes, Times};
pub use token::{TokenError, TokenFile};

/// Who may read.
pub enum Auth {
    /// Everyone.
    None,
    /// Who has the token.
    Token(TokenFile),
    /// Whose token Kubernetes knows, and gives the right.
    Kubernetes(Box<Kubernetes>),
}

/// Why a request gets no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token, or none that is known.
    Unauthorized,
    /// Known, and without the right.
    Forbidden,
    /// It can't be found out.
    Unavailable,
}

// === impl Auth ===

impl Auth {
    /// Whether a request with these headers may read.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
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

/// Whether the bytes can be sent as a token: visible ASCII, and some of it.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)
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
    fn a_bearer_token_is_read_as_clients_write_it() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc", "Bearer abc  "] {
            assert_eq!(bearer(&headers(&[value.as_bytes()])), Ok("abc"), "{value}");
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_none() {
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
