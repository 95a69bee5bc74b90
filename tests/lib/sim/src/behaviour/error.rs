//! Owns the errors of an `x-sim` list.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BehaviourError {
    #[error("`{0}` is not of the form key=value")]
    NotAPair(String),
    #[error("unknown key `{0}`")]
    UnknownKey(String),
    #[error("duplicate key `{0}`")]
    Duplicate(String),
    #[error("invalid value `{value}` of key `{key}`: expected {expected}")]
    Value {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("the header is not visible ASCII")]
    NotAscii,
    #[error("keys `{0}` and `{1}` exclude each other")]
    Conflict(&'static str, &'static str),
    #[error("key `body` requires key `status`")]
    BodyWithoutStatus,
    /// The key limits how often or how long a behaviour applies, and a header comes with one request.
    #[error("key `{0}` is allowed only in a behaviour set for a path")]
    NeedsPath(&'static str),
    #[error("key `{0}` requires a streamed response")]
    NeedsStream(&'static str),
    #[error("key `usage` requires stream_options.include_usage")]
    NeedsUsage,
    #[error("the response would be about {bytes} bytes, over the limit of {limit}")]
    TooLarge { bytes: u64, limit: u64 },
}

/// All errors of one `x-sim` list, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BehaviourErrors(pub(crate) Vec<BehaviourError>);

// === impl BehaviourErrors ===

impl std::error::Error for BehaviourErrors {}

impl From<BehaviourError> for BehaviourErrors {
    fn from(error: BehaviourError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for BehaviourErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x-sim: ")?;
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
