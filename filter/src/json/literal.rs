//! The bytes that the scanner looks for: the words that are values, and what ends a plain stretch of a string.

use memchr::memchr2;

use super::Value;

/// The bare words that are values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Literal {
    True,
    False,
    Null,
    NaN,
    Infinity,
    MinusInfinity,
}

// === impl Literal ===

impl Literal {
    /// Its bytes, and the value that it is.
    pub(super) fn of(self) -> (&'static [u8], Value<'static>) {
        match self {
            Self::True => (b"true", Value::Bool(true)),
            Self::False => (b"false", Value::Bool(false)),
            Self::Null => (b"null", Value::Null),
            Self::NaN => (b"NaN", Value::Null),
            Self::Infinity => (b"Infinity", Value::Null),
            Self::MinusInfinity => (b"-Infinity", Value::Null),
        }
    }
}

/// The first quote or backslash of a string that is short most times: there the general search is not worth its start.
pub(super) fn find_mark(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 16;
    let start = bytes.get(..SHORT).unwrap_or(bytes);
    if let Some(at) = start.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(at);
    }
    let rest = bytes.get(SHORT..)?;
    memchr2(b'"', b'\\', rest).map(|at| at + SHORT)
}
