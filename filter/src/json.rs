//! An incremental JSON scanner that emits the values at given paths. It builds no tree and buffers only a string or number
//! that is cut or has escapes.
//!
//! It owns the grammar of RFC 8259 and knows nothing about the meaning of values. Invariant: the emitted values do not
//! depend on the chunk boundaries, and memory stays below [`MAX_TEXT`] plus a constant.
//!
//! It accepts every document that `serde_json` accepts, up to [`MAX_DEPTH`] levels, and some that only the lenient Python
//! parsers of model servers accept: a byte order mark, `NaN`, `Infinity`, raw control characters in strings, and, where no
//! path leads, invalid escapes and numbers. Anything else that violates the grammar is a [`ScanError`], also in values that no
//! path selects.

mod literal;
mod machine;
mod path;
mod skip;
mod text;
mod trie;
mod value;

use machine::Machine;
pub use path::{Path, Segment};
pub use trie::Paths;
pub use value::{Progress, ScanError, Value};

/// A longer string value is truncated to this many bytes. A model label is the longest text that is kept (256 bytes); the
/// excess shows that the name was longer.
pub const MAX_TEXT: usize = 260;
/// Limit of nested containers: as many as servers accept (Python's recursion limit is near 1,000), in 128 bytes of state.
pub const MAX_DEPTH: usize = 1024;
/// A longer number is emitted as empty: no count has so many digits.
const MAX_NUMBER: usize = 64;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The scanner of one document. `F` identifies the paths.
#[derive(Debug)]
pub struct Scanner<F: 'static> {
    /// Of the nodes of the paths.
    ids: &'static [Option<F>],
    machine: Machine,
}

// === impl Scanner ===

impl<F: Copy + 'static> Scanner<F> {
    /// A scanner for the values at these paths.
    pub fn new(paths: &'static Paths<F>) -> Self {
        Self {
            ids: &paths.ids,
            machine: Machine::new(&paths.trie),
        }
    }

    /// Resets the scanner for a new document. The buffer is reused.
    pub fn restart(&mut self) {
        self.machine.restart();
    }

    /// The state of the document. (A bare number at the top level is complete only when a further byte follows.)
    pub fn progress(&self) -> Progress {
        self.machine.progress()
    }

    /// Reads the next chunk and emits each value at a path, in document order.
    pub fn feed(&mut self, bytes: &[u8], mut emit: impl FnMut(F, Value<'_>)) {
        let ids = self.ids;
        self.machine.feed(bytes, &mut |node, value| {
            if let Some(id) = ids.get(node.get()).copied().flatten() {
                emit(id, value);
            }
        });
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod property;
#[cfg(test)]
mod tests;
