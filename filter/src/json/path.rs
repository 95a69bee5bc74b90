//! Paths that select values.

/// Limit of the length of a path. Deeper containers match no path.
pub(super) const MAX_SEGMENTS: usize = 6;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The value of this key of an object, compared after decoding escapes.
    Key(&'static str),
    /// Every element of an array.
    Each,
}

/// A path from the root of the document, with the reader's identifier for it.
#[derive(Clone, Copy, Debug)]
pub struct Path<F: 'static> {
    /// Emitted with every value at this path.
    pub id: F,
    /// Empty for the root value itself.
    pub segments: &'static [Segment],
}
