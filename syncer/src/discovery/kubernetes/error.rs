//! [`ApiError`], why a list or a watch of the API server failed, in words for the log.

use std::error::Error;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher;

/// A list or a watch that failed. The messages omit what was requested; [`ApiError::about`] adds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// 404: the CRD is not installed.
    #[error("the API server does not serve it")]
    NotServed,
    /// 403, with the API server's message, which names account, verb and resource.
    #[error("{0}")]
    Forbidden(String),
    /// 401.
    #[error("the API server does not accept the syncer's credentials: {0}")]
    Unauthorized(String),
    /// 410: the resource version is too old, and a new list is needed.
    #[error("out of date: {0}")]
    Expired(String),
    /// Any other status.
    #[error("the API server replied with {code}: {message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The API server's message.
        message: String,
    },
    /// There are more objects than the limit.
    #[error("more objects than the limit of {0}")]
    TooMany(usize),
    /// A page of a list did not arrive in time.
    #[error("the API server did not respond within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The response is not one of an API server.
    #[error("the API server's response can't be read: {0}")]
    InvalidResponse(String),
    /// There was no response.
    #[error("the API server can't be reached: {0}")]
    Unreachable(String),
}

// === impl ApiError ===

impl ApiError {
    /// The message, with the subject of the request unless the failure concerns the API server as a whole.
    pub fn about(&self, subject: &str) -> String {
        match self {
            Self::Unauthorized(_) | Self::Timeout(_) | Self::Unreachable(_) => self.to_string(),
            Self::NotServed
            | Self::Forbidden(_)
            | Self::Expired(_)
            | Self::Status { .. }
            | Self::TooMany(_)
            | Self::InvalidResponse(_) => format!("{subject}: {self}"),
        }
    }
}

impl From<&watcher::Error> for ApiError {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::from(error),
            watcher::Error::WatchError(status) => Self::from(status.as_ref()),
            watcher::Error::NoResourceVersion => Self::InvalidResponse("it has no resourceVersion".to_owned()),
        }
    }
}

impl From<&kube::Error> for ApiError {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(status.as_ref()),
            kube::Error::SerdeError(error) => Self::InvalidResponse(error.to_string()),
            kube::Error::FromUtf8(error) => Self::InvalidResponse(error.to_string()),
            kube::Error::Service(error) => Self::Unreachable(with_sources(error.as_ref())),
            other => Self::Unreachable(with_sources(other)),
        }
    }
}

impl From<&Status> for ApiError {
    fn from(status: &Status) -> Self {
        let message = status.message.trim().to_owned();
        match status.code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotServed,
            410 => Self::Expired(message),
            code => Self::Status { code, message },
        }
    }
}

/// An error and its sources. Unlike [`crate::error::error_chain`] it omits a source that the text already ends with, as
/// some of kube's and hyper's errors do.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> ApiError {
        let status = Status::failure(message, "").with_code(code);
        ApiError::from(&watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn a_status_decides_the_error() {
        assert_eq!(status(404, "404 page not found\n"), ApiError::NotServed);
        assert_eq!(
            status(403, "pods is forbidden"),
            ApiError::Forbidden("pods is forbidden".to_owned())
        );
        assert_eq!(status(410, "too old"), ApiError::Expired("too old".to_owned()));
        assert_eq!(
            status(401, "Unauthorized").to_string(),
            "the API server does not accept the syncer's credentials: Unauthorized"
        );
        assert_eq!(
            status(500, "etcd is gone").to_string(),
            "the API server replied with 500: etcd is gone"
        );
    }

    #[test]
    fn a_source_that_repeats_its_error_is_omitted() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = watcher::Error::WatchFailed(kube::Error::Service(Box::new(refused)));
        assert_eq!(
            ApiError::from(&error).to_string(),
            "the API server can't be reached: connection refused"
        );
    }
}
