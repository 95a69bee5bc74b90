//! A body and ways to cut it into chunks, none of which may change what a reader reports.
//!
//! It is the end of an input, after a header of [`HEADER`] bytes: four offsets to cut at, and a part of the body that is
//! repeated, so that a short input can hold a long text. A header of zeros changes nothing.

use std::fmt::Debug;

use infertally_syncer::scrape::fetch;

use crate::choices::Choices;

const CUTS: usize = 4;
pub(crate) const HEADER: usize = 2 * CUTS + 4;
/// Limit of a body after the repetition: several times every cap of the readers, and small enough to stay fast.
const MAX_BODY: usize = 1 << 16;
/// Limit of the chunks when a body is cut into equal ones.
const MAX_CHUNKS: usize = 1024;

/// The bytes of a request or a response.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    cuts: [usize; CUTS],
}

// === impl Body ===

impl Body {
    /// Takes the rest of the input.
    pub(crate) fn read(mut choices: Choices<'_>) -> Self {
        let cuts = [(); CUTS].map(|()| usize::from(choices.word()));
        let at = usize::from(choices.word());
        let (size, times) = (usize::from(choices.byte()), usize::from(choices.byte()));
        let mut bytes = choices.0.to_vec();
        let repeated = bytes.get(at..at + size).unwrap_or_default().repeat(times);
        if bytes.len() + repeated.len() <= MAX_BODY {
            let after = bytes.split_off((at + size).min(bytes.len()));
            bytes.extend(repeated);
            bytes.extend(after);
        }
        Self { bytes, cuts }
    }

    /// Other bytes, cut at the same offsets.
    pub(crate) fn changed(&self, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let bytes = change(&self.bytes)?;
        Some(Self { bytes, cuts: self.cuts })
    }

    /// The body cut at the chosen offsets.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut cuts = self.cuts.map(|cut| cut % (self.bytes.len() + 1));
        cuts.sort_unstable();
        let ends = cuts.into_iter().chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(cuts);
        starts
            .zip(ends)
            .map(|(start, end)| self.bytes.get(start..end).unwrap_or_default())
    }

    /// What `read` returns for the body in one chunk. It must return the same for the body cut at the chosen offsets and
    /// for equal chunks, of one byte unless the body is long.
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
        let size = 1 + self.bytes.len() / MAX_CHUNKS;
        assert_eq!(read(&mut self.bytes.chunks(size)), whole, "in chunks of {size}");
        whole
    }

    /// What `read` returns for the body as a scraped page. It must return the same in whichever chunks the page arrives, and
    /// for other pieces of whole lines than the fetcher makes of them.
    pub(crate) fn read_in_pieces<T: PartialEq + Debug>(
        &self,
        read: impl for<'a> Fn(&mut dyn Iterator<Item = &'a [u8]>) -> T,
    ) -> T {
        let whole = read(&mut [self.bytes.as_slice()].into_iter());
        let fetched = self.read_in_every_way(|chunks| {
            let page = fetch::Body::from_chunks(chunks, MAX_BODY).ok();
            page.map(|page| read(&mut page.pieces()))
        });
        assert_eq!(fetched.as_ref(), Some(&whole), "in the fetcher's pieces");
        let mut rest = self.bytes.as_slice();
        let mut pieces = Vec::new();
        for chunk in self.chunks() {
            // To the end of the line that the cut is in.
            let line = rest.iter().skip(chunk.len()).position(|byte| *byte == b'\n');
            let end = line.map_or(rest.len(), |line| chunk.len() + line + 1);
            let (piece, after) = rest.split_at(end);
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        assert_eq!(read(&mut pieces.into_iter()), whole, "in pieces of whole lines");
        let mut lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        assert_eq!(read(&mut lines), whole, "line by line");
        whole
    }
}
