//! Which values a reader wants, as paths; and which of them still fit at a place in the document.

/// Longest path, in segments; deeper containers can't hold a value that anybody wants.
pub(super) const MAX_SEGMENTS: usize = 6;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The value of this key of an object, escapes decoded.
    Key(&'static str),
    /// Every element of an array.
    Each,
}

/// A path from the top of the document, and what the reader calls it.
#[derive(Clone, Copy, Debug)]
pub struct Path<F: 'static> {
    /// Handed back with every value at this path.
    pub id: F,
    /// No segment at all is the top-level value itself.
    pub segments: &'static [Segment],
}

/// A set of paths: a bit each.
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

    /// Of these paths the one that ends after `depth` segments: at a value inside so many containers.
    pub(super) fn exact(self, mask: Mask, depth: usize) -> Mask {
        self.filter(mask, |segments| segments.len() == depth)
    }

    /// Of these paths those that go on from an array inside `depth` containers to its elements.
    pub(super) fn elements(self, mask: Mask, depth: usize) -> Mask {
        self.filter(mask, |segments| segments.get(depth) == Some(&Segment::Each))
    }

    /// Of these paths those that go on from an object inside `depth` containers to the value of this key.
    pub(super) fn key(self, mask: Mask, depth: usize, key: &[u8]) -> Mask {
        self.filter(
            mask,
            |segments| matches!(segments.get(depth), Some(Segment::Key(name)) if name.as_bytes() == key),
        )
    }

    pub(super) fn id(self, mask: Mask) -> Option<F> {
        // Most values are at no path.
        let bit = (!mask.is_empty()).then_some(mask.0.trailing_zeros())?;
        self.0.iter().copied().flatten().nth(bit as usize).map(|path| path.id)
    }

    fn filter(self, mask: Mask, fits: impl Fn(&'static [Segment]) -> bool) -> Mask {
        if mask.is_empty() {
            return mask;
        }
        let bits = self.0.iter().copied().flatten().zip(0..32);
        Mask(
            bits.filter(|(path, bit)| mask.0 & (1 << bit) != 0 && fits(path.segments))
                .fold(0, |set, (_, bit)| set | 1 << bit),
        )
    }
}
