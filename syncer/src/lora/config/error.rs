//! What can be wrong in a configuration, and where.

use std::fmt;

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

/// Something wrong at a place. Shown as `line 4, column 7, vLLMLoRAConfig.port: is text, not a number`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{}{path}: {what}", if path.is_empty() { "" } else { ", " })]
pub struct ConfigError {
    /// Where in the file.
    pub place: Position,
    /// Where in the document, as in `vLLMLoRAConfig.ensureExist.models[2].id`; empty for the whole of it.
    pub path: String,
    /// What is wrong.
    #[source]
    pub what: What,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// More than a ConfigMap holds.
    #[error("the file has more than {max} bytes")]
    TooLong {
        /// The most it may have.
        max: usize,
    },
    /// The bytes from here on are no text.
    #[error("is not UTF-8")]
    NotText,
    /// Nothing but comments.
    #[error("the file is empty")]
    Empty,
    /// No YAML.
    #[error("{0}")]
    Syntax(String),
    /// A second document.
    #[error("a second document begins; there may be one")]
    SecondDocument,
    /// An alias that stands inside its own anchor.
    #[error("an alias stands inside of what it stands for")]
    Endless,
    /// `<<`.
    #[error("merge keys are not read; write the keys out")]
    MergeKey,
    /// Another kind of value.
    #[error("is {found}, not {wanted}")]
    Kind {
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A required key isn't there.
    #[error("is missing")]
    Missing,
    /// A text that may not be empty.
    #[error("is empty")]
    EmptyText,
    /// No name or path, and a line break in a log.
    #[error("has a line break or another control character")]
    Control,
    /// A text that is longer than any name or path.
    #[error("has more than {max} bytes")]
    LongText {
        /// The most it may have.
        max: usize,
    },
    /// No port.
    #[error("{0} is not a port from 1 to 65535")]
    Port(String),
    /// No host.
    #[error("{0:?} is not a host")]
    Host(String),
    /// A key that means nothing. A warning.
    #[error("the key is not known and means nothing")]
    UnknownKey,
    /// A key that was given before.
    #[error("the key was given before, on line {0}")]
    KeyAgain(usize),
    /// An id that was given before in the same list, with the same values. A warning.
    #[error("{id:?} was given before, on line {line}; once is enough")]
    Again {
        /// The adapter.
        id: String,
        /// Where before.
        line: usize,
    },
    /// An id that was given before in the same list, with other values.
    #[error("{id:?} was given before, on line {line}, with other values")]
    Contradiction {
        /// The adapter.
        id: String,
        /// Where before.
        line: usize,
    },
    /// An id that stands in both lists. A warning: the adapter is left alone.
    #[error("{id:?} also stands in ensureExist, on line {line}; the adapter is left alone")]
    InBoth {
        /// The adapter.
        id: String,
        /// Where in `ensureExist`.
        line: usize,
    },
    /// More than a person would read. What comes after it was not looked at.
    #[error("there is more than this that is wrong or odd")]
    More,
    /// More adapters than a list may have.
    #[error("has {found} adapters, more than {max}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

// === impl Position ===

impl Position {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

// === impl What ===

impl What {
    /// Whether the file can be used in spite of it. The reference takes such files too.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::UnknownKey | Self::Again { .. } | Self::InBoth { .. })
    }
}
