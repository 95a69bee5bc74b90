//! What the scanner says: the values that it finds, and how the document stands.

use super::MAX_DEPTH;

/// A value that begins (or, for [`Value::End`], ends) at one of the paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The object or array of this path ends.
    End,
    /// A string: its first [`MAX_TEXT`](super::MAX_TEXT) bytes, escapes decoded; not checked to be UTF-8.
    Str(&'a [u8]),
    /// A number as written; empty when it was too long to be kept.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`, and Python's `NaN` and `Infinity`: nothing that counts.
    Null,
}

/// Why a document is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A byte that the grammar does not allow at its place.
    #[error("unexpected byte in JSON document")]
    Unexpected,
    /// More than [`MAX_DEPTH`] open containers.
    #[error("JSON document nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// How a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing but white space yet.
    Empty,
    /// In the middle.
    Open,
    /// The top-level value is whole.
    Complete,
    /// It is no JSON document.
    Broken(Fault),
}
