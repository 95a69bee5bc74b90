//! Owns what can be wrong with a header `x-sim`.

use std::fmt;

/// One mistake in a header `x-sim`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourError {
    /// A part is not of the form `key=value`.
    #[error("`{0}` is not of the form key=value")]
    NotAPair(String),
    /// A key is not known.
    #[error("key `{0}` is unknown")]
    UnknownKey(String),
    /// A key stands twice.
    #[error("key `{0}` is given twice")]
    Twice(String),
    /// A value does not parse.
    #[error("value `{value}` of key `{key}` is not {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What would have been taken.
        wanted: &'static str,
    },
    /// The header holds bytes that are not visible ASCII.
    #[error("the header is not visible ASCII")]
    NotAscii,
    /// `cut`, `hang`, `error` and `end` exclude one another.
    #[error("keys `{0}` and `{1}` both say how the answer ends")]
    TwoEndings(&'static str, &'static str),
    /// `body=none` says something about the answer that `status` asks for.
    #[error("key `body` needs key `status`")]
    BodyWithoutStatus,
    /// The key counts requests or time, and a request comes once.
    #[error("key `{0}` is for what stands in a server, not for one request")]
    NeedsStanding(&'static str),
    /// The key shows only in a streamed answer, and the request asks for none.
    #[error("key `{0}` needs a streamed answer")]
    NeedsStream(&'static str),
    /// The key shows only where usage was asked for, and the request does not.
    #[error("key `usage` needs stream_options.include_usage")]
    NeedsUsage,
    /// The answer would not fit into memory that a test machine has.
    #[error("the answer asked for is about {bytes} bytes, more than {most}")]
    TooLarge {
        /// The estimate.
        bytes: u64,
        /// The cap.
        most: u64,
    },
}

/// All mistakes of one header, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BehaviourErrors(pub Vec<BehaviourError>);

// === impl BehaviourErrors ===

impl std::error::Error for BehaviourErrors {}

impl From<BehaviourError> for BehaviourErrors {
    fn from(mistake: BehaviourError) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for BehaviourErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x-sim: ")?;
        for (place, mistake) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}
