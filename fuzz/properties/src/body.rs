//! A body, and ways to cut it into chunks: the law is that none of them makes a difference.
//!
//! In an input it stands last, after a header of [`HEADER`] bytes: four places to cut at, and a stretch of the body that
//! is repeated, so that a short input can make a long text. A header of zeros changes nothing.

use std::fmt::Debug;

use crate::choices::Choices;

const CUTS: usize = 4;
/// The header's size.
pub(crate) const HEADER: usize = 2 * CUTS + 4;
/// Longest body that a stretch may make: some times every cap, and small enough to stay fast.
const MAX_BODY: usize = 1 << 16;
/// Pieces that a body is cut into at most.
const MAX_PIECES: usize = 1024;

/// Bytes of a request or an answer.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    cuts: [usize; CUTS],
}

// === impl Body ===

impl Body {
    /// The rest of an input.
    pub(crate) fn read(mut choices: Choices<'_>) -> Self {
        let cuts = [(); CUTS].map(|()| usize::from(choices.word()));
        let at = usize::from(choices.word());
        let (size, times) = (usize::from(choices.byte()), usize::from(choices.byte()));
        let mut bytes = choices.0.to_vec();
        let stretch = bytes.get(at..at + size).unwrap_or_default().repeat(times);
        if bytes.len() + stretch.len() <= MAX_BODY {
            let after = bytes.split_off((at + size).min(bytes.len()));
            bytes.extend(stretch);
            bytes.extend(after);
        }
        Self { bytes, cuts }
    }

    /// Other bytes, cut at the same places.
    pub(crate) fn changed(&self, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let bytes = change(&self.bytes)?;
        Some(Self { bytes, cuts: self.cuts })
    }

    /// The body cut at the chosen places.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut cuts = self.cuts.map(|cut| cut % (self.bytes.len() + 1));
        cuts.sort_unstable();
        let ends = cuts.into_iter().chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(cuts);
        starts
            .zip(ends)
            .map(|(start, end)| self.bytes.get(start..end).unwrap_or_default())
    }

    /// What `read` makes of the body; it must make the same of it in one piece, cut at the chosen places, and in the
    /// smallest pieces: byte by byte, unless that takes too long.
    pub(crate) fn read_in_every_way<T: PartialEq + Debug>(
        &self,
        read: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
    ) -> T {
        let whole = read(&mut [self.bytes.as_slice()].into_iter());
        assert_eq!(
            read(&mut self.chunks()),
            whole,
            "cut at {:?} of {}",
            self.cuts,
            self.bytes.len()
        );
        let size = 1 + self.bytes.len() / MAX_PIECES;
        assert_eq!(read(&mut self.bytes.chunks(size)), whole, "in pieces of {size}");
        whole
    }
}
