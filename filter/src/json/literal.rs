//! Literal names.

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
    pub(super) fn from_first_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b't' => Self::True,
            b'f' => Self::False,
            b'n' => Self::Null,
            b'N' => Self::NaN,
            b'I' => Self::Infinity,
            _ => return None,
        })
    }

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
