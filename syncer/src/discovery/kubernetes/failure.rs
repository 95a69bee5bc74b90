//! Why a list or a watch failed, in words for whoever is woken by it.

use std::error::Error;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher;

/// A list or a watch that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The API server knows no such resource: its CRD is not installed.
    #[error("the API server does not serve it")]
    NotServed,
    /// It knows who asks, and that it may not. In its own words, which name the account, the verb and the resource.
    #[error("{0}")]
    Forbidden(String),
    /// It does not know who asks.
    #[error("the API server does not accept the syncer's credentials: {0}")]
    Unauthorized(String),
    /// What was listed or seen is out of date: time to list again.
    #[error("out of date: {0}")]
    Gone(String),
    /// Any other answer.
    #[error("the API server answered {code}: {message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// Its own words.
        message: String,
    },
    /// More objects than are read.
    #[error("there are more than {0}")]
    TooMany(usize),
    /// A list that went on for too long.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// Something that is no answer of an API server.
    #[error("the API server's answer can't be read: {0}")]
    Unreadable(String),
    /// No answer.
    #[error("the API server can't be reached: {0}")]
    Unreachable(String),
}

// === impl Failure ===

impl Failure {
    /// In words, with what was asked for where that matters: that the API server is away is the same for all.
    pub fn about(&self, subject: &str) -> String {
        match self {
            Self::Unauthorized(_) | Self::Silent(_) | Self::Unreachable(_) => self.to_string(),
            Self::NotServed
            | Self::Forbidden(_)
            | Self::Gone(_)
            | Self::Refused { .. }
            | Self::TooMany(_)
            | Self::Unreadable(_) => format!("{subject}: {self}"),
        }
    }
}

impl From<&watcher::Error> for Failure {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::from(error),
            watcher::Error::WatchError(status) => Self::from(status.as_ref()),
            watcher::Error::NoResourceVersion => Self::Unreadable("it has no resourceVersion".to_owned()),
        }
    }
}

impl From<&kube::Error> for Failure {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(status.as_ref()),
            kube::Error::SerdeError(error) => Self::Unreadable(error.to_string()),
            kube::Error::FromUtf8(error) => Self::Unreadable(error.to_string()),
            kube::Error::Service(error) => Self::Unreachable(causes(error.as_ref())),
            other => Self::Unreachable(causes(other)),
        }
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        let message = status.message.trim().to_owned();
        match status.code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotServed,
            410 => Self::Gone(message),
            code => Self::Refused { code, message },
        }
    }
}

/// An error and what is behind it. kube's and hyper's errors say little themselves, and what some say of their cause is
/// not said twice.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, message: &str) -> Failure {
        let status = Status::failure(message, "").with_code(code);
        Failure::from(&watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn an_answer_is_told_by_its_status() {
        assert_eq!(answered(404, "404 page not found\n"), Failure::NotServed);
        assert_eq!(
            answered(403, "pods is forbidden"),
            Failure::Forbidden("pods is forbidden".to_owned())
        );
        assert_eq!(answered(410, "too old"), Failure::Gone("too old".to_owned()));
        assert_eq!(
            answered(401, "Unauthorized").to_string(),
            "the API server does not accept the syncer's credentials: Unauthorized"
        );
        assert_eq!(
            answered(500, "etcd is gone").to_string(),
            "the API server answered 500: etcd is gone"
        );
    }

    #[test]
    fn what_is_behind_an_error_is_said_once() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = watcher::Error::WatchFailed(kube::Error::Service(Box::new(refused)));
        assert_eq!(
            Failure::from(&error).to_string(),
            "the API server can't be reached: connection refused"
        );
    }
}
