//! Reads the pages of metrics of model servers and Envoys on a schedule, each by a task of its own: a slow or dead one
//! delays no other. It knows no gauge and keeps nothing of what it reads.

pub mod fetch;
pub mod history;
pub mod schedule;

/// Why a page could not be had: the label `reason`. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No connection.
    Connect,
    /// Not whole within the timeout.
    Timeout,
    /// A status other than 200.
    Status,
    /// The answer broke off, or its encoding can't be read.
    Body,
    /// Longer than a page may be.
    TooLarge,
    /// No page of metrics.
    Parse,
}

// === impl Reason ===

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Timeout,
        Self::Status,
        Self::Body,
        Self::TooLarge,
        Self::Parse,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Body => "body",
            Self::TooLarge => "too_large",
            Self::Parse => "parse",
        }
    }
}
