//! The output of the scanner: values and the state of the document.

use super::MAX_DEPTH;

/// A value at a path. Containers are emitted at their start and at their end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The start of an object.
    Object,
    /// The start of an array.
    Array,
    /// The end of the object or array at this path.
    End,
    /// Escapes decoded, truncated to [`MAX_TEXT`](super::MAX_TEXT) bytes, not necessarily UTF-8.
    Str(&'a [u8]),
    /// As written; empty if it is longer than 64 bytes.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`, and Python's `NaN` and `Infinity`.
    Null,
}

/// Why a document is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// A byte that the grammar does not allow at its position.
    #[error("unexpected byte in JSON document")]
    UnexpectedByte,
    /// More than [`MAX_DEPTH`] nested containers.
    #[error("JSON document nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// The state of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Only white space so far.
    Empty,
    /// The top-level value has started.
    Incomplete,
    /// The top-level value has ended.
    Complete,
    /// No continuation makes it a valid document.
    Malformed(ScanError),
}
