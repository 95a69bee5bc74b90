//! Configuration errors and their positions.

use std::fmt;

/// A position in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// An invalid item of the configuration. Displayed as `line 4, column 7, vLLMLoRAConfig.port: expected a number, found a
/// string`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}{}{path}: {kind}", if path.is_empty() { "" } else { ", " })]
pub struct ConfigError {
    /// Of the item.
    pub position: Position,
    /// Of the item in the document, as in `vLLMLoRAConfig.ensureExist.models[2].id`; empty for the whole document.
    pub path: String,
    /// What is invalid.
    pub kind: ConfigErrorKind,
}

/// What is invalid about an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigErrorKind {
    /// The file exceeds the size of a ConfigMap.
    #[error("the file is larger than {max} bytes")]
    FileTooLarge {
        /// In bytes.
        max: usize,
    },
    /// The bytes at this position are not UTF-8.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// No content but comments.
    #[error("the file is empty")]
    EmptyFile,
    /// The YAML parser's error.
    #[error("invalid YAML: {0}")]
    Syntax(String),
    /// A second YAML document.
    #[error("a second YAML document starts here; only one is supported")]
    SecondDocument,
    /// An alias inside the node that it refers to.
    #[error("recursive alias")]
    RecursiveAlias,
    /// The key `<<`.
    #[error("merge keys are not supported; write the keys out")]
    MergeKey,
    /// A value of another type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// The type required here, with its article.
        expected: &'static str,
        /// The type of the value, with its article.
        found: &'static str,
    },
    /// A required key is absent or null.
    #[error("required, but missing")]
    Missing,
    /// A string of nothing but white space.
    #[error("must not be empty")]
    EmptyString,
    /// A string that would break log lines.
    #[error("contains a line break or another control character")]
    ControlCharacter,
    /// A string longer than a path can be.
    #[error("longer than {max} bytes")]
    StringTooLong {
        /// In bytes.
        max: usize,
    },
    /// A number that is not a port.
    #[error("{0} is not a port (1 to 65535)")]
    InvalidPort(String),
    /// A list that needs an item.
    #[error("must not be empty")]
    EmptyList,
    /// A port that the list has already. A warning.
    #[error("duplicate port {0}, ignored")]
    DuplicatePort(u16),
    /// `port` beside `ports`. A warning.
    #[error("{0} is not in ports, which is used instead")]
    PortNotInPorts(u16),
    /// A list over the limit.
    #[error("{found} ports exceed the limit of {max}")]
    TooManyServers {
        /// In the list.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Not a host name or IP address, optionally behind `http://` or `https://`.
    #[error("{0:?} is not a host name or an IP address")]
    InvalidHost(String),
    /// A key outside the schema. A warning.
    #[error("unknown key, ignored")]
    UnknownKey,
    /// A key that the mapping has already.
    #[error("duplicate key, first given on line {line}")]
    DuplicateKey {
        /// Of the first one.
        line: usize,
    },
    /// An adapter that the list has already, with the same values. A warning.
    #[error("duplicate of {id:?} on line {line}, ignored")]
    DuplicateAdapter {
        /// Of the adapter.
        id: String,
        /// Of the first one.
        line: usize,
    },
    /// An adapter that the list has already, with other values.
    #[error("{id:?} is already listed on line {line}, with another source or base-model")]
    ContradictoryAdapter {
        /// Of the adapter.
        id: String,
        /// Of the first one.
        line: usize,
    },
    /// An adapter in both lists. A warning.
    #[error("{id:?} is also listed in ensureExist, on line {line}; the adapter is left as it is")]
    InBothLists {
        /// Of the adapter.
        id: String,
        /// In `ensureExist`.
        line: usize,
    },
    /// More errors than are worth reading.
    #[error("too many errors and warnings; the rest of the file was not checked")]
    TooManyErrors,
    /// A list over the limit.
    #[error("{found} adapters exceed the limit of {max}")]
    TooManyAdapters {
        /// In the list.
        found: usize,
        /// The limit.
        max: usize,
    },
}

// === impl Position ===

impl Position {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

// === impl ConfigErrorKind ===

impl ConfigErrorKind {
    /// Whether the configuration can be used in spite of it. Gateway API Inference Extension's LoRA sidecar accepts such
    /// files, too.
    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey
                | Self::DuplicatePort(_)
                | Self::PortNotInPorts(_)
                | Self::DuplicateAdapter { .. }
                | Self::InBothLists { .. }
        )
    }
}
