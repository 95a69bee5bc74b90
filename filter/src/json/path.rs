//! Paths that select values, and sets of the paths that still match at a position in the document.

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

/// A set of paths, one bit per path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(u32);

#[derive(Clone, Copy, Debug)]
pub(super) struct PathSet<F: 'static>(&'static [&'static [Path<F>]]);

// === impl Mask ===

impl Mask {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

// === impl PathSet ===

impl<F: Copy> PathSet<F> {
    pub(super) fn new(groups: &'static [&'static [Path<F>]]) -> Self {
        debug_assert!(
            groups.iter().map(|group| group.len()).sum::<usize>() <= 32,
            "a mask has 32 bits"
        );
        debug_assert!(
            groups
                .iter()
                .copied()
                .flatten()
                .all(|path| path.segments.len() <= MAX_SEGMENTS)
        );
        Self(groups)
    }

    pub(super) fn all(self) -> Mask {
        self.filter(Mask(u32::MAX), |_| true)
    }

    /// The path among these that ends at a value inside `depth` containers.
    pub(super) fn exact(self, mask: Mask, depth: usize) -> Mask {
        self.filter(mask, |segments| segments.len() == depth)
    }

    /// The paths among these that lead from an array inside `depth` containers to its elements.
    pub(super) fn elements(self, mask: Mask, depth: usize) -> Mask {
        self.filter(mask, |segments| segments.get(depth) == Some(&Segment::Each))
    }

    /// The paths among these that lead from an object inside `depth` containers to the value of `key`.
    pub(super) fn key(self, mask: Mask, depth: usize, key: &[u8]) -> Mask {
        self.filter(
            mask,
            |segments| matches!(segments.get(depth), Some(Segment::Key(name)) if name.as_bytes() == key),
        )
    }

    pub(super) fn id(self, mask: Mask) -> Option<F> {
        // Fast path: most values are at no path.
        let bit = (!mask.is_empty()).then_some(mask.0.trailing_zeros())?;
        self.0.iter().copied().flatten().nth(bit as usize).map(|path| path.id)
    }

    fn filter(self, mask: Mask, matches: impl Fn(&'static [Segment]) -> bool) -> Mask {
        if mask.is_empty() {
            return mask;
        }
        let bits = self.0.iter().copied().flatten().zip(0..32);
        Mask(
            bits.filter(|(path, bit)| mask.0 & (1 << bit) != 0 && matches(path.segments))
                .fold(0, |set, (_, bit)| set | 1 << bit),
        )
    }
}
