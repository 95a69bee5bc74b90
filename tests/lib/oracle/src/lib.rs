//! A second derivation of what exchanges mean for the metrics: bytes in, expected facts and series out.
//!
//! It is written from the contracts of the metrics and of the wire, not from the filter's code: it keeps complete bodies as
//! trees, is slow and simple, and knows no chunks, and only those limits that change a value. The end-to-end tests, the
//! demo and the fuzz properties compare the filter with it.
//!
//! ```text
//!  tree ─▶ json ─┬─▶ request ───────────────┐
//!  sse ──────────┼─▶ response (document,    ├─▶ exchange ─▶ expected (labels, metrics) ─▶ stats
//!  coding ───────┘   stream, usage, words) ─┘       └─────▶ totals
//!  message ─▶ capture
//! ```
//!
//! It never guesses: where it cannot decide, it returns [`Undecidable`].

pub mod api;
pub mod capture;
mod coding;
pub mod duration;
pub mod exchange;
pub mod expected;
pub mod json;
pub mod labels;
pub mod message;
pub mod metrics;
pub mod request;
pub mod response;
pub mod sse;
pub mod stats;
pub mod totals;
pub mod tree;
mod words;

pub use exchange::{Completion, Facts, Outcome, read};
pub use expected::Expected;
pub use totals::{Measured, Totals};

/// The bytes are ambiguous to an independent reader, such as JSON that only lenient parsers accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecidable(pub(crate) String);

// === impl Undecidable ===

impl std::fmt::Display for Undecidable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "undecidable: {}", self.0)
    }
}

impl std::error::Error for Undecidable {}
