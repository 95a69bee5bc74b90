//! Literal names, and the search for the byte that ends an unescaped run of a string.

use memchr::memchr2;

use super::Value;

/// RFC 8259's literal names, and those of Python's encoder.
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
    pub(super) fn bytes_and_value(self) -> (&'static [u8], Value<'static>) {
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

/// The position of the first quote or backslash. Keys are mostly short, and there a plain loop beats the set-up of SIMD
/// search.
pub(super) fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 16;
    let start = bytes.get(..SHORT).unwrap_or(bytes);
    if let Some(at) = start.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(at);
    }
    let rest = bytes.get(SHORT..)?;
    memchr2(b'"', b'\\', rest).map(|at| at + SHORT)
}
